# shellcheck shell=bash
# The Python on which the AWS world runs: in the cache, installed by whoever needs it first.

aws_python_works() { [ -x "$AWS_PYTHON" ] && "$AWS_PYTHON" -c 'import flask' 2> /dev/null; }

# aws_python: sets AWS_PYTHON. What is there and does not work was made by a Python that the machine no longer has.
aws_python() {
  KEYS[aws/venv]=$(key_of aws/venv)
  AWS_PYTHON=$(out aws/venv)/bin/python
  aws_python_works && return
  # In a shell of its own, which keeps the lock and not whoever is started afterwards.
  (
    . "$WORLD/config.sh"
    . "$WORLD/packages.sh"
    lock
    ! aws_python_works || exit 0
    mkdir -p "$PARTS"
    packages python3=python3 pip3=python3-pip
    rm -rf "$(out aws/venv)"
    part aws/venv 900
  )
  aws_python_works || die "the Python that the AWS world needs could not be installed; see $LOGS/aws-venv.log"
}
