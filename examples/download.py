"""Download a file. `urllib.request.urlretrieve` reports through a ``reporthook``, as it is.

python3 -m longop.serve examples.download
"""

from urllib.request import urlcleanup, urlretrieve


def download(url: str, reporthook):
    """Download a file from the web, into the folder for temporary files."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("the address must begin with http:// or https://")
    try:
        path, _ = urlretrieve(url, reporthook=reporthook)
    except BaseException:  # a cancel too
        urlcleanup()  # removes what was written so far
        raise
    return path
