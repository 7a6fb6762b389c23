#!/bin/sh
# A question; the headers say which model answered, why, and what it cost.
set -eu
curl -sS --fail-with-body -i "$OPTIMUX_URL/v1/chat/completions" \
    -H "Authorization: Bearer $OPTIMUX_KEY" -H "Content-Type: application/json" \
    -d '{"model": "auto", "messages": [{"role": "user", "content": "Name three prime numbers."}]}'
