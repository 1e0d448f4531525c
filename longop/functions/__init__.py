"""What a user's function may be like: how it reports, and how it is bound.

==========  ==========================================================================
adapted     the callback that turns what a function passes into a report (``report=``)
shapes      ready adapters for the forms that are often met
output      where the prints of a job go, and which threads print for it
printed     what a function prints, by job
threads     the threads beside a function, and pools that have them in other interpreters
methods     an operation in a class: how it is bound to an object, and found by its name
console     the console that a process shares with those it has started
==========  ==========================================================================
"""
