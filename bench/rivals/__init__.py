"""What runstate is compared with: one module for each rival, with the same function names for the same work.

Each function is a context manager that takes a folder to work in and yields `batch(count)`, which does the work *count*
times: `lives`, `durable_lives`, `sustained_moves`, `checked_calls`. `runstate_tracker` is ourselves.
"""
