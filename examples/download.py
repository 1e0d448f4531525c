"""Download a file with `urllib.request.urlretrieve`, which reports through a ``reporthook``.

python3 -m longop.serve examples.download
"""

from urllib.request import urlcleanup, urlretrieve


def download(url: str, reporthook):
    """Download a file from the web to the folder for temporary files."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("the address must begin with http:// or https://")
    try:
        path, _ = urlretrieve(url, reporthook=reporthook)
    except BaseException:  # also on a cancel
        urlcleanup()  # removes the partial file
        raise
    return path
