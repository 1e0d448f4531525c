"""Code that runs elsewhere: in processes of this machine, or wherever an executor takes it.

==========  ===============================================================================
parcel      a value on its way to another process
sent_error  an error on its way to another process
outcome     how a call has ended, in a form that can be sent
growing     a result that grows: each part is sent once
messages    what the operation and the worker say to each other
channel     a connection that carries messages
attend      the operation's side of a call
worker      where the code runs
child       a child process that is reaped by its owner alone
printing    what a process prints, taken at its file descriptors
process     one process that makes calls
processes   ``executor="process"``: an operation's processes, kept warm
listener    the port at which workers of an executor reach the operation
picklers    how an executor sends what it is to run, where that is known
remote      any ``concurrent.futures.Executor``
==========  ===============================================================================
"""
