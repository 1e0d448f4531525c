"""``report=``: functions that report in a form of their own.

==========  ==========================================================================
adapted     the callback that turns what a function passes into a report
shapes      ready adapters for the forms that are often met
==========  ==========================================================================
"""
