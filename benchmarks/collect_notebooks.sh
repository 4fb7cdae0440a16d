#!/bin/sh
# Write what the studies of a lab (ABLATA_HOME) found of the notebooks into the file that ships, and from that the pages
# of the docs.
set -e
ablata replicate collect --output src/ablata/notebooks/repeated/findings.yaml
empty=$(mktemp -d)
for name in label_refinery imagenet bisenet relation_rcnn contrastive_seg
do
    ABLATA_HOME="$empty" ablata replicate report --notebook "$name" --output "docs/results/notebook_$name.md"
done
rm -r "$empty"
