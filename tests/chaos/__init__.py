"""The long proofs of a fleet: no death unseen, nobody alive taken for dead, and nothing that was acknowledged lost, whatever happens.

| what | the module | what it does |
|---|---|---|
| time of death | `deaths` | kills workers that have a hundred live executions, and watches the journal |
| false deaths | `slow` | makes workers as slow as can be, and sees all of them live |
| storm | `storm` | four workers under load, and a seeded `schedule` of `faults`; then the `guarantee` is checked |
| several hosts | `hosts` | workers in network and pid namespaces of their own, and a cable that is pulled |

`make chaos` runs them all, at length, and prints times beside the kernel's and the server's own notice of the same events. What is a
`test_*.py` here is a short version of each, and asserts what must happen, never how fast.

Workers are real processes (`worker`), each on its own way (`network`) to the journal (`places`). What a worker was promised it writes
into a side log of its own, after the call that promises it has returned and before it goes on: the kernel keeps what was
written, however the worker ends. So the checker knows what must be there without asking the journal's own code.
"""
