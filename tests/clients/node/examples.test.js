// The examples run as they stand, against a gateway with nothing configured.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const folder = process.env.OPTIMUX_EXAMPLES;
for (const name of readdirSync(folder).filter((name) => name.endsWith(".mjs"))) {
  test(`${name} runs`, () => {
    // Beside the packages that it imports.
    copyFileSync(join(folder, name), name);
    const env = { ...process.env, OPTIMUX_URL: process.env.OPTIMUX_PLAIN };
    const said = execFileSync(process.execPath, [name], { env, encoding: "utf8", timeout: 60_000 });
    assert.ok(said.trim().length > 0);
  });
}
