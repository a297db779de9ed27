#!/usr/bin/env bash
# Draws docs/hookctl-try.svg: the output of a real run of `hookctl try` on a terminal of 96 columns. `make picture` builds the
# programs and calls this script. It needs runc, and script(1) of bsdutils for the terminal.
set -euo pipefail
cd "$(dirname "$0")/.."
checkout=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/hooks.json" <<'JSON'
{
    "hooks": {
        "createRuntime": [
            {"path": "/bin/sh", "args": ["sh", "-c", "echo 'eth1 is up'; sleep 0.12"], "timeout": 10}
        ],
        "createContainer": [
            {"path": "/bin/sh", "args": ["sh", "-c", "sleep 0.05"], "timeout": 10}
        ],
        "poststart": [
            {"path": "/bin/sh", "args": ["sh", "-c", "sleep 0.03"], "timeout": 10}
        ],
        "poststop": [
            {"path": "/bin/sh", "args": ["sh", "-c", "sleep 0.06; echo 'eth1: no such device' >&2; exit 3"], "timeout": 10}
        ]
    }
}
JSON
cd "$work"
# The exit status is 1, because a hook fails.
{
	echo '$ hookctl try hooks.json'
	TERM=xterm PATH=$checkout/bin:$PATH:/usr/sbin:/sbin script --quiet --return --command 'stty cols 96 rows 40; hookctl try hooks.json' /dev/null </dev/null || [ $? -eq 1 ]
} >typescript
cd "$checkout"
go run ./internal/hookctl/picture 'hookctl try: each hook on a time line, with its output' <"$work/typescript" >"$work/picture.svg"
cat "$work/picture.svg" >docs/hookctl-try.svg
