"""Run a long operation on a Dask cluster, here of two processes; Ctrl-C cancels it.

python3 -m examples.on_dask
"""

import signal

import longop

from .long_process import a_long_process


def main():
    """Run it once."""
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise SystemExit("this needs Dask: python3 -m pip install distributed") from None
    on_ctrl_c = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the workers inherit this
    # For a cluster of your own, use Client("tcp://its-scheduler:8786"), and give the operation
    # report_to=("this-machine", 0): that is where the workers reach this process.
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, \
            Client(cluster) as client:
        signal.signal(signal.SIGINT, on_ctrl_c)
        operation = longop.LongOperation(
            a_long_process, executor=client.get_executor(), limit=2)
        job = operation.start()
        try:
            show(job)
        except KeyboardInterrupt:
            job.cancel()
            show(job)


def show(job):
    """Print each change until the end."""
    for status in job.updates():
        print(f"{status.state.value:10} {status.result or ''}", flush=True)


if __name__ == "__main__":
    main()
