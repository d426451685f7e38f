// Evaluates an ecosystem file for rpm and writes what it exports, as JSON, to standard output:
// `node evaluate.cjs FILE MARK`, where MARK begins rpm's part of what stands there. Whatever the
// file itself prints goes to standard error.
'use strict';
const fs = require('node:fs');
const { pathToFileURL } = require('node:url');

// Under `-e` the words follow the program's name; Bun keeps a place for the script.
const [file, mark] = process.argv.slice(-2);
process.argv = [process.argv[0], file];

function answer(result) {
  const bytes = Buffer.from('\n' + mark + JSON.stringify(result, plain));
  for (let at = 0; at < bytes.length;) {
    try {
      at += fs.writeSync(1, bytes, at);
    } catch (error) {
      // A pipe that is full for now.
      if (error.code !== 'EAGAIN') throw error;
    }
  }
  process.exit(0);
}

// What JSON has no words for, in the words an ecosystem file has.
function plain(_key, value) {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof RegExp) return { regex: value.source };
  return value;
}

// The line of the innermost call in the file itself; a syntax error has it in its first line.
function place(error) {
  const stack = String((error && error.stack) || '');
  const names = [file, pathToFileURL(file).href];
  for (const line of stack.split('\n')) {
    for (const name of names) {
      const at = line.indexOf(name + ':');
      const found = at >= 0 && /^:(\d+)/.exec(line.slice(at + name.length));
      if (found) return Number(found[1]);
    }
  }
  return null;
}

// Node tells where an ES module's syntax is wrong only to who checks it.
function checked(error) {
  if (!(error instanceof SyntaxError) || process.versions.bun) return null;
  const { spawnSync } = require('node:child_process');
  const { stderr } = spawnSync(process.execPath, ['--check', file], { encoding: 'utf8' });
  const found = /:(\d+)\n/.exec(stderr || '');
  return found && Number(found[1]);
}

function refuse(error) {
  const isError = error !== null && typeof error === 'object' && 'message' in error;
  const text = isError ? `${error.name || 'Error'}: ${error.message}` : `it threw ${String(error)}`;
  answer({ error: text, line: place(error) || checked(error) });
}

// An ES module is asked for in its own way where `require` may not.
const MODULES_ONLY = ['ERR_REQUIRE_ESM', 'ERR_REQUIRE_ASYNC_MODULE'];

async function load() {
  if (!/\.m[jt]s$/.test(file)) {
    try {
      return require(file);
    } catch (error) {
      if (!MODULES_ONLY.includes(error && error.code)) throw error;
    }
  }
  return import(pathToFileURL(file).href);
}

// `export default`, a promise, or a function that gives either: what a file may mean by its apps.
async function exported(module) {
  let value = module;
  const isNamespace = value !== null && typeof value === 'object' && 'default' in value;
  if (isNamespace && !('apps' in value) && !('pm2' in value)) value = value.default;
  for (let rounds = 0; rounds < 3; rounds += 1) {
    value = await value;
    if (typeof value === 'function') value = value();
    else if (value && typeof value === 'object' && value.__esModule && 'default' in value) {
      value = value.default;
    } else break;
  }
  return value;
}

process.stdout.write = process.stderr.write.bind(process.stderr);
process.on('uncaughtException', refuse);
load().then(exported).then((value) => answer({ value: value === undefined ? null : value })).catch(refuse);
