#!/bin/sh
# Runs each list in inbox/, in the order of their names. Arguments are handed on to `bulk-revoke run`.
# Ends in the last exit code that was not 0. Needs inbox/, done/ and look/ in the working directory.
last=0
for list in inbox/*.csv; do
    test -e "$list" || continue
    bulk-revoke run "$list" --continue "$@"
    code=$?
    case $code in
        0) mv -f "$list" done/ ;;
        7 | 8) mv -f "$list" look/ ;; # over, and only a person can say what is to be done about the rest
        *) ;;                         # unfinished, or nothing was sent: it stays, and the next time goes on with it
    esac
    if test $code -ne 0; then
        last=$code
        echo "$list: bulk-revoke ended with exit code $code; reports/ has the items" >&2
    fi
    # Interrupted: so is the rest.
    test $code -ne 130 || break
done
exit $last
