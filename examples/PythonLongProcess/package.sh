#!/bin/bash
# Make the module's package; called by that server's create_packages.sh with an id and a version.

moduleId=$1
version=$2
zip -q -r "${moduleId}-${version}.zip" . -x '*__pycache__*' -x '*.zip'
