#!/bin/sh
# Make a manual page from Markdown:  page.sh FILE PAGE VERSION
#
# A file whose first line is "# limpet-sessions(7): what it is about" begins with NAME and DESCRIPTION made of that line;
# its headings of the second level become the page's sections. Links lose their addresses.
set -eu
file=$1 page=$2 version=$3
section=${page##*.}
title=$(basename "$page" ".$section" | tr '[:lower:]' '[:upper:]')
sed "1s/^# \\([a-z-]*\\)([0-9]): \\(.*\\)\$/# NAME\\n\\n\\1 - \\2\\n\\n# DESCRIPTION/" "$file" |
	lowdown -s -t man --out-no-smarty --nroff-nolinks -m shiftheadinglevelby=-1 -m title="$title" -m section="$section" \
		-m source="limpet $version" -m volume="limpet manual" -o "$page"
