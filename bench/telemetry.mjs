// node bench/telemetry.mjs PROGRAM [BASELINE] [SECONDS] [ROUNDS]
//
// Measures what telemetry costs a request: CPU time of the server with the export off, with 1 trace of 100 and with all.
// BASELINE is the program of another commit, which runs with the export off: the first two lines then show the cost of
// code that is off. Each round starts each server once, for SECONDS (default 5), on a database of 1,000 invented
// clients. Prints the medians of ROUNDS (default 5), and their ratios to the first line. Compare only figures of one
// run, on an idle machine.
//
// With SECONDS = valgrind it counts the instructions of a request instead, which other programs on the machine don't
// change: those of 1,200 requests less those of 200.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [program, ...rest] = process.argv.slice(2);
const baseline = rest[0] && existsSync(rest[0]) ? rest.shift() : undefined;
const counts = rest[0] === "valgrind";
const [seconds, rounds] = [counts ? 0 : Number(rest[0] ?? 5), Number(rest[1] ?? 5)];
if (!program) {
  console.error("node bench/telemetry.mjs PROGRAM [BASELINE] [SECONDS] [ROUNDS]");
  process.exit(2);
}
const CONNECTIONS = 16;
const TICKS = Number(execFileSync("getconf", ["CLK_TCK"]));
const QUERY = "query ShowClient($id:String!){client(by:{clientId:$id}){firstName lastName emailAddress}}";

const folder = mkdtempSync(join(tmpdir(), "telemetry-"));
// Each program has a database of its own version.
const url = (server) => `sqlite:${folder}/${server === baseline ? "baseline" : "clientele"}.db`;
for (const server of baseline ? [program, baseline] : [program]) {
  execFileSync(server, ["seed", "--clients", "1000", "--database-url", url(server)], { stdio: "ignore" });
}

let exported = 0;
const collector = http.createServer((request, response) => {
  request.on("data", (chunk) => (exported += chunk.length));
  request.on("end", () => response.end());
});
await new Promise((listens) => collector.listen(0, "127.0.0.1", listens));
const endpoint = `telemetry.otlp_endpoint=http://127.0.0.1:${collector.address().port}`;

const variants = [
  ...(baseline ? [["baseline", baseline, []]] : []),
  ["off", program, []],
  ["1 of 100 traces", program, [endpoint, "telemetry.sampling_ratio=0.01", "telemetry.logs=false"]],
  ["all traces", program, [endpoint, "telemetry.logs=false"]],
  ["all traces, log", program, [endpoint]],
];

const ticks = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return Number(fields[11]) + Number(fields[12]);
};

function post(agent, port, body) {
  return new Promise((done, fail) => {
    const headers = { "content-type": "application/json", "content-length": body.length };
    const request = http.request({ agent, port, path: "/graphql", method: "POST", headers }, (response) => {
      response.resume();
      response.on("end", () => (response.statusCode === 200 ? done() : fail(new Error(`${response.statusCode}`))));
    });
    request.on("error", fail);
    request.end(body);
  });
}

/** Sends requests until a time or up to a number. Returns their number. */
async function send(port, { until = Infinity, most = Infinity, connections = CONNECTIONS }) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  let requests = 0;
  const caller = async () => {
    while (requests < most && Date.now() < until) {
      const id = `SEED${String(requests % 1000).padStart(8, "0")}`;
      requests += 1;
      await post(agent, port, JSON.stringify({ query: QUERY, variables: { id } }));
    }
  };
  await Promise.all(Array.from({ length: connections }, caller));
  agent.destroy();
  return requests;
}

/** Runs a server while `work` gets its port and process. Returns what that returns, and the server's standard error. */
async function serving([, server, settings], prefix, work) {
  const sets = settings.flatMap((setting) => ["--set", setting]);
  const serve = [server, "serve", "--no-auth", "--listen", "127.0.0.1:0", "--database-url", url(server), ...sets];
  const [command, ...arguments_] = [...prefix, ...serve];
  const child = spawn(command, arguments_, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((ends) => child.on("close", ends));
  let [said, log] = ["", ""];
  child.stderr.on("data", (chunk) => (log = (log + chunk).slice(-10_000)));
  for await (const chunk of child.stdout) {
    said += chunk;
    if (said.includes("\nlistening on ")) break;
  }
  if (!said.includes("listening on ")) throw new Error(`${server} doesn't start: ${log}`);
  const port = Number(/listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(said)[1]);
  const outcome = await work(port, child.pid);
  child.kill("SIGTERM");
  await ended;
  return [outcome, log];
}

async function measure(variant) {
  const [measured] = await serving(variant, [], async (port, pid) => {
    await send(port, { until: Date.now() + 1000 });
    const [before, begun] = [ticks(pid), Date.now()];
    const requests = await send(port, { until: begun + seconds * 1000 });
    const took = (Date.now() - begun) / 1000;
    return { rate: requests / took, cpu: ((ticks(pid) - before) / TICKS / requests) * 1e6 };
  });
  return measured;
}

async function count(variant) {
  const valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
  const collected = async (most) => {
    const [, log] = await serving(variant, valgrind, (port) => send(port, { most, connections: 1 }));
    return Number(/Collected : (\d+)/.exec(log)[1]);
  };
  return ((await collected(1200)) - (await collected(200))) / 1000;
}

if (counts) {
  let first;
  for (const variant of variants) {
    const instructions = await count(variant);
    first ??= instructions;
    const ratio = (instructions / first).toFixed(4);
    console.log(`${variant[0].padEnd(16)} ${instructions.toFixed(0).padStart(10)} instructions (${ratio})`);
  }
  collector.close();
  rmSync(folder, { recursive: true });
  process.exit();
}

const results = variants.map(() => []);
for (let round = 0; round < rounds; round += 1) {
  for (const [at, variant] of variants.entries()) results[at].push(await measure(variant));
}
collector.close();
rmSync(folder, { recursive: true });

const median = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const medians = results.map((of) => ({
  rate: median(of.map((one) => one.rate)),
  cpu: median(of.map((one) => one.cpu)),
}));
const column = (number, digits, width) => number.toFixed(digits).padStart(width);
for (const [at, { rate, cpu }] of medians.entries()) {
  const ratios = `${column(rate / medians[0].rate, 3, 6)} ${column(cpu / medians[0].cpu, 3, 6)}`;
  const name = variants[at][0].padEnd(16);
  console.log(`${name} ${column(rate, 0, 7)} requests/s ${column(cpu, 1, 8)} µs CPU/request   ratios ${ratios}`);
}
console.log(`exported: ${(exported / 1e6).toFixed(1)} MB`);
