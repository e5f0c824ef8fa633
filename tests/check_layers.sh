#!/usr/bin/env bash
# Includes go only downwards: each folder may include what its line below names, and itself. A folder without a line is an error too, so
# that a new one is thought about.
#
#     tests/check_layers.sh         check that this script finds violations in a small tree of them, then check $srcdir (default ".")
#     tests/check_layers.sh TOP     check the tree below TOP
#
# What an include may name: a folder ("gateway/base/") or a single header ("gateway/base/log.h").
set -uo pipefail
self=$(realpath "$0")

# A tree with one violation of each kind: each must be found, and nothing else.
check_self() {
    local tree found
    tree=$(mktemp -d)
    mkdir -p "$tree/protocol" "$tree/gateway/broker" "$tree/gateway/new"
    printf '#include "protocol/a.h"\n#include <string.h>\n#include "gateway/base/log.h"\n' >"$tree/protocol/a.c"
    printf ' #  include <stdio.h>\n#include "a.h"\n' >"$tree/protocol/b.h"
    printf '#include "gateway/base/log.h"\n#include "gateway/net/worker.h"\n' >"$tree/gateway/broker/c.c"
    printf '#include <string.h>\n' >"$tree/gateway/new/d.c"
    found=$("$self" "$tree")
    rm -rf "$tree"
    [ "$found" = "gateway/broker/c.c:2: gateway/broker/ must not include \"gateway/net/worker.h\"
gateway/new/d.c: gateway/new/ has no line in check_layers.sh
protocol/a.c:3: protocol/ must not include \"gateway/base/log.h\"
protocol/b.h:1: protocol/ must not include <stdio.h>
protocol/b.h:2: \"a.h\" does not name its folder
4 files, 7 includes" ] && return
    echo "this check does not find what it should, but:"
    echo "$found"
    exit 1
}

[ $# -gt 0 ] || check_self
cd "${1:-${srcdir:-.}}" || exit 1

declare -A allowed=(
    [protocol]=""
    [gateway/base]="protocol/bytes.h"
    [config]="protocol/ gateway/base/"
    [gateway/store]="protocol/ gateway/base/"
    [gateway/access]="protocol/ gateway/base/"
    [gateway/broker]="protocol/ gateway/base/ config/ gateway/store/ gateway/access/"
    [gateway/net]="protocol/ gateway/base/ config/ gateway/broker/"
    [web]="protocol/ gateway/base/ config/ gateway/store/store.h gateway/store/message.h gateway/access/ gateway/broker/ gateway/net/"
    [gateway]="protocol/ gateway/base/ config/ gateway/store/ gateway/access/ gateway/broker/ gateway/net/ web/"
)

# What a folder must not touch of the system, by the names of headers: the codec and the core do no I/O, and only web/ knows libwebsockets.
io='sys/socket\.h|sys/epoll\.h|sys/stat\.h|netinet/|arpa/inet\.h|fcntl\.h|unistd\.h|poll\.h|ev\.h|pthread\.h|threads\.h|time\.h|stdio\.h'
declare -A forbidden=(
    [protocol]="$io|jansson\.h|openssl/|libwebsockets\.h"
    [gateway/broker]="sys/socket\.h|sys/epoll\.h|netinet/|arpa/inet\.h|fcntl\.h|unistd\.h|poll\.h|ev\.h|time\.h|jansson\.h|openssl/|libwebsockets\.h|lmdb\.h"
    [gateway/store]="libwebsockets\.h|jansson\.h|ev\.h"
    [gateway/access]="libwebsockets\.h|ev\.h"
    [gateway/net]="libwebsockets\.h|jansson\.h"
    [config]="ev\.h|libwebsockets\.h"
    [gateway/base]="ev\.h|libwebsockets\.h|jansson\.h"
    [gateway]="libwebsockets\.h|jansson\.h"
)

failed=0
complain() {
    echo "$1"
    failed=1
}

# check_quoted FILE LINE FOLDER INCLUDED
check_quoted() {
    local file=$1 line=$2 folder=$3 included=$4 one
    case $included in
    */*) ;;
    *)
        complain "$file:$line: \"$included\" does not name its folder"
        return
        ;;
    esac
    if [ "${included%/*}" = "$folder" ]; then
        return
    fi
    for one in ${allowed[$folder]}; do
        case $included in
        "$one" | "$one"*) return ;;
        esac
    done
    complain "$file:$line: $folder/ must not include \"$included\""
}

# check_system FILE LINE FOLDER INCLUDED
check_system() {
    local file=$1 line=$2 folder=$3 included=$4
    local pattern=${forbidden[$folder]:-}
    if [ -n "$pattern" ] && [[ $included =~ ^($pattern) ]]; then
        complain "$file:$line: $folder/ must not include <$included>"
    fi
}

files=0
includes=0
while read -r file; do
    folder=${file%/*}
    files=$((files + 1))
    if [ -z "${allowed[$folder]+known}" ]; then
        complain "$file: $folder/ has no line in ${self##*/}"
        continue
    fi
    while IFS=: read -r line text; do
        includes=$((includes + 1))
        if [[ $text =~ \"([^\"]+)\" ]]; then
            check_quoted "$file" "$line" "$folder" "${BASH_REMATCH[1]}"
        elif [[ $text =~ \<([^\>]+)\> ]]; then
            check_system "$file" "$line" "$folder" "${BASH_REMATCH[1]}"
        fi
    done < <(grep -nE '^[[:space:]]*#[[:space:]]*include' "$file")
done < <(find protocol config gateway web -name '*.[ch]' 2>/dev/null | sort)

if [ "$files" -eq 0 ] || [ "$includes" -eq 0 ]; then
    complain "nothing to check here"
fi
echo "$files files, $includes includes"
exit "$failed"
