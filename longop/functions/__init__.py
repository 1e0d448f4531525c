"""What a user's function may be like: how it reports, and how it is bound.

==========  ==========================================================================
adapted     the callback that turns what a function passes into a report (``report=``)
shapes      ready adapters for the forms that are often met
methods     an operation in a class: how it is bound to an object, and found by its name
==========  ==========================================================================
"""
