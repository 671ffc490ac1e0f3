#!/bin/sh
# What shall run once a night in the whole cluster.
echo "report of $(date -u +%F), written by $(hostname)"
