#!/bin/bash
# Run by CodeProject.AI Server's setup.sh. There is nothing to install.

if [ "$1" != "install" ]; then
    read -t 3 -p "This script is only called from: bash ../../setup.sh"
    echo
    exit 1
fi

writeLine "No custom setup steps for this module" "$color_info"
module_install_errors=""
