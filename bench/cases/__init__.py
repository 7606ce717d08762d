"""One module for each case of the table, each with one function, `measure(folder)`, which runs in a process of its own."""
