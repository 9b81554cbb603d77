// Undo records with the de-aggregator of npm.
//
// node deaggregate.cjs LINES      a line is a record's data in base64
//
// Prints a line each: its user records, separated by spaces, as key:hash key:data, each in base64, the hash key as it is
// or null; or "error" and what was thrown.
const { readFileSync } = require("node:fs");
const { deaggregateSync } = require("aws-kinesis-agg");

const base64 = (text) => Buffer.from(text, "utf8").toString("base64");
const spelled = (one) => `${base64(one.partitionKey)}:${one.explicitPartitionKey ?? null}:${one.data}`;

for (const data of readFileSync(process.argv[2], "utf8").split("\n").slice(0, -1)) {
  let found;
  try {
    deaggregateSync({ partitionKey: "a", sequenceNumber: "1", data }, true, (error, records) => {
      if (error) throw error;
      found = records.map(spelled).join(" ");
    });
  } catch (error) {
    found = `error ${error}`;
  }
  console.log(`> ${found.replaceAll("\n", " ")}`);
}
