#!/bin/sh
# Print the path of a Python 3.10, or nothing: on PATH, pyenv's, or one that uv has or gets.
for candidate in python3.10 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.10*/bin/python; do
    if "$candidate" -c 'import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null; then
        command -v "$candidate"
        exit
    fi
done
if command -v uv >/dev/null; then
    uv python install --quiet 3.10 2>/dev/null
    uv python find 3.10 2>/dev/null
fi
exit 0
