# Read by the scripts of bin and bench: --help prints the comment at the beginning of the script.
# shellcheck shell=sh
case ${1:-} in
-h | --help)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    exit
    ;;
esac
