# shellcheck shell=bash
# An AWS account for tests: what its launcher needs is installed, nothing is started.
. "$WORLD/aws/python.sh"
aws_python
part aws/venv 900
