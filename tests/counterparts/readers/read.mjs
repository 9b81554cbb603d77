// Read Parquet with a reader in JavaScript, and print the rows as JSON.
//
// node read.mjs hyparquet|parquet-wasm FILE...     prints a line a file: its rows, or an object with the `error`
//
// Integers are printed as they are, with all their digits; decimals and times as text, decimals of hyparquet, which are
// doubles there, as numbers.
import { readFileSync } from "node:fs";

const [reader, ...paths] = process.argv.slice(2);
const read = { hyparquet: hyparquet, "parquet-wasm": parquetWasm }[reader];

for (const path of paths) {
  let found;
  try {
    found = await read(readFileSync(path));
  } catch (error) {
    found = { error: String(error) };
  }
  console.log(json(found));
}

async function hyparquet(body) {
  const { parquetReadObjects } = await import("hyparquet");
  const { compressors } = await import("hyparquet-compressors");
  const file = body.buffer.slice(body.byteOffset, body.byteOffset + body.byteLength);
  return await parquetReadObjects({ file, compressors });
}

async function parquetWasm(body) {
  const { readParquet } = await import("parquet-wasm");
  const { tableFromIPC } = await import("apache-arrow");
  const table = tableFromIPC(readParquet(body).intoIPCStream());
  const rows = [];
  for (const row of table) {
    const found = {};
    for (const field of table.schema.fields) found[field.name] = ofArrow(row[field.name], field.type);
    rows.push(found);
  }
  return rows;
}

// Arrow's JavaScript gives a decimal as four 32-bit words, a time as a number of ms, a list as a vector.
function ofArrow(value, type) {
  if (value === null || value === undefined) return null;
  const name = String(type);
  if (name.startsWith("Decimal")) return decimal(value);
  if (name.startsWith("Timestamp")) return new Date(Number(value));
  if (name.startsWith("List")) return [...value];
  return value;
}

function decimal(words) {
  let sum = 0n;
  for (let i = words.length - 1; i >= 0; i--) sum = (sum << 32n) | BigInt(words[i] >>> 0);
  return BigInt.asIntN(128, sum).toString();
}

function json(value) {
  if (value === null || value === undefined) return "null";
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Date) return JSON.stringify(value.toISOString().slice(0, -1));
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return `[${[...value].map(json).join(",")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}:${json(one)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}
