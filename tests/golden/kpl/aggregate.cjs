// Standard input: {"write": {name: [[key, hash key or null, base64]]}, "read": {name: base64}}.
// Standard output: {"written": {name: base64}, "read": {name: [[key, hash key or null, base64]]}}.
const { RecordAggregator, deaggregateSync } = require("aws-kinesis-agg");

const asked = JSON.parse(require("fs").readFileSync(0));
const answer = { written: {}, read: {} };
for (const [name, records] of Object.entries(asked.write)) {
  const aggregator = new RecordAggregator();
  for (const [partitionKey, explicitHashKey, data] of records) {
    const record = { partitionKey, data: Buffer.from(data, "base64") };
    aggregator.addUserRecord(explicitHashKey === null ? record : { ...record, explicitHashKey });
  }
  answer.written[name] = aggregator.build().data.toString("base64");
}
for (const [name, data] of Object.entries(asked.read)) {
  deaggregateSync({ partitionKey: "a", sequenceNumber: "1", data }, true, (error, records) => {
    if (error) throw error;
    answer.read[name] = records.map((one) => [one.partitionKey, one.explicitPartitionKey ?? null, one.data]);
  });
}
process.stdout.write(JSON.stringify(answer));
