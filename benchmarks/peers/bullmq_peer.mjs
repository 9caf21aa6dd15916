// BullMQ on Node, asked as protocol.py says: its Lua on ioredis, and what its documentation shows for production.
//
// Settings: addBulk for many, the worker's concurrency as asked, and completed jobs kept for an hour by
// removeOnComplete's age, which its guide to auto-removal recommends over keeping them forever.  Everything else is
// left alone: a worker waits for its server without polling, and takes its next job in the exchange that ends one.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { Queue, Worker } from 'bullmq';

const NAME = 'peer';
const CHUNK = 1_000;

const defaults = { concurrency: 100, many: true, size: 0, sleep: 0, delay: 0, gap: 0, rest: false, quiet: 30, arguments: {} };
const request = { ...defaults, ...JSON.parse(process.argv[2]) };
const { hostname: host, port } = new URL(request.url);
const connection = { host, port: Number(port || 6379), maxRetriesPerRequest: null };

const monotonic = () => Number(process.hrtime.bigint()) / 1e9;
const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1e3));
const peakMemory = () => Number(readFileSync('/proc/self/status', 'utf8').match(/VmHWM:\s+(\d+)/)[1]) * 1024;
const say = (answer) => console.log(JSON.stringify(answer));

async function produce() {
  const load = randomBytes(request.size).toString('hex').slice(0, request.size); // nobody can compress it
  const queue = new Queue(NAME, { connection });
  await queue.waitUntilReady();
  const size = request.many ? CHUNK : 1;
  const opts = { delay: request.delay * 1e3 };
  const job = (number) => ({ number, at: monotonic() + request.delay, load });
  const [begun, cpuBegun] = [monotonic(), process.cpuUsage()];
  for (let first = 0; first < request.jobs; first += size) {
    const numbers = Array.from({ length: Math.min(size, request.jobs - first) }, (_, index) => first + index);
    if (request.many) {
      await queue.addBulk(numbers.map((number) => ({ name: 'job', data: job(number), opts })));
    } else {
      await queue.add('job', job(first), opts);
    }
    if (request.gap) await sleep(request.gap);
  }
  const { user, system } = process.cpuUsage(cpuBegun);
  say({ enqueued: request.jobs, begun, ended: monotonic(), cpu: (user + system) / 1e6 });
  await queue.close();
}

async function work() {
  const record = { numbers: [], late: [], begun: 0, ended: 0 };
  let cpuBegun;

  async function handle({ data: { number, at, load } }) {
    const now = monotonic();
    if (!record.numbers.length) [record.begun, cpuBegun] = [now, process.cpuUsage()];
    record.numbers.push(number);
    record.late.push(now - at);
    if (request.sleep) await sleep(request.sleep);
    record.ended = monotonic();
    return load;
  }

  const options = { connection, concurrency: request.concurrency, removeOnComplete: { age: 3600 }, autorun: false };
  const worker = new Worker(NAME, handle, options);
  await worker.waitUntilReady();
  const ready = monotonic();
  say({ ready: true });
  worker.run();

  let seen = 0, cpu = 0;
  while (true) { // as protocol.Record watches its jobs
    await sleep(seen ? 0.02 : 0.25);
    if (record.numbers.length !== seen) {
      const { user, system } = process.cpuUsage(cpuBegun);
      [seen, cpu] = [record.numbers.length, (user + system) / 1e6];
    }
    const wanted = seen < request.jobs ? request.quiet : request.rest ? 0 : 0.5;
    if (monotonic() - (record.ended || ready) > wanted) break;
  }
  process.stdout.write(JSON.stringify({ ...record, cpu, memory: peakMemory() }) + '\n', () => process.exit(0));
}

await { produce, work }[request.role]();
