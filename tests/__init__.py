"""The tests of runstate; `clock`, `stores`, `moves` and `snapshots` are shared by them."""
