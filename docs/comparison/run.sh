#!/usr/bin/env bash
# Every loss and estimator on one corpus, 3 seeds, 6 settings a row: its defaults, two other learning rates, two other scales
# of the scores, and one of its own parameters (InfoNCE has none: one more learning rate). Typed again, it runs what is missing.
#   bash docs/comparison/run.sh outputs/comparison/php corpus=stdlib lang=php
set -u
out=$1
shift
rivals=infonce,weighted_infonce,bce,kl_regularized,false_negative_cancellation
estimators=bm25,simcse,trained_model
failed=0

cells() {
    python -m src.train -m "$@" seed=1,2,3 hydra.sweep.dir="$out" || failed=1
}

for setting in "" optimizer.learning_rate=0.01 optimizer.learning_rate=0.02 model.score_scale=30 model.score_scale=15; do
    cells "$@" loss="$rivals" $setting
    cells "$@" loss=soft_infonce weights="$estimators" $setting
done
cells "$@" loss=infonce optimizer.learning_rate=0.05
cells "$@" loss=soft_infonce weights="$estimators" loss.weight_temperature=0.2
cells "$@" loss=weighted_infonce,bce,kl_regularized loss.weight_temperature=0.2
cells "$@" loss=false_negative_cancellation loss.top_k=5
exit $failed
