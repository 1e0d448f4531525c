@echo off
REM Make the module's package; called by that server's create_packages.bat with an id and a version.

set moduleId=%~1
set version=%~2
tar -caf "%moduleId%-%version%.zip" --exclude=__pycache__ --exclude=*.zip *
