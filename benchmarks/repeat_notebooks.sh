#!/bin/sh
# Run the short studies of the five notebooks one after another, those first that answer most for their time. What has
# run is not run again, so it can be stopped and started at will. Then collect what was found:
#
#     ABLATA_DATA=FOLDER sh benchmarks/repeat_notebooks.sh [--workers N]
#     sh benchmarks/collect_notebooks.sh
for study in label_refinery/factors relation_rcnn/factors contrastive_seg/weights-short bisenet/factors \
    label_refinery/restarts-short contrastive_seg/contrast-short imagenet/aa imagenet/factors imagenet/norm-order \
    bisenet/factors-2 bisenet/factors-3
do
    ablata replicate run "${study%/*}" --scale short --study "${study#*/}" "$@" || exit 1
done
