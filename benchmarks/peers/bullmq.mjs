// BullMQ as its documentation shows it, for redis_peers.py: one worker process, no-op jobs.
//
//   node bullmq.mjs PORT drain JOBS CONCURRENCY   prints jobs a second out of a backlog
//   node bullmq.mjs PORT work JOBS                prints milliseconds from right before add to the handler, for each job
//   node bullmq.mjs PORT send JOBS                adds them, one every 30 ms
import { Queue, Worker } from 'bullmq';

const [port, what, ...rest] = process.argv.slice(2);
const [jobs, concurrency] = rest.map(Number);
const connection = { host: '127.0.0.1', port: Number(port), maxRetriesPerRequest: null };
const now = () => Number(process.hrtime.bigint()) / 1e6;

async function drain() {
  const queue = new Queue('drain', { connection });
  for (let first = 0; first < jobs; first += 1000) {
    await queue.addBulk(Array.from({ length: Math.min(1000, jobs - first) }, () => ({ name: 'noop', data: {} })));
  }
  let completed = 0;
  const begun = now();
  const worker = new Worker('drain', async () => null, { connection, concurrency });
  await new Promise((done) => worker.on('completed', () => ++completed === jobs && done()));
  console.log(jobs / ((now() - begun) / 1e3));
  await worker.close();
  await queue.obliterate({ force: true });
  await queue.close();
}

async function work() {
  const latencies = [];
  const worker = new Worker('pickup', async (job) => { latencies.push(now() - job.data.sent); }, { connection });
  await new Promise((done) => worker.on('completed', () => latencies.length === jobs && done()));
  console.log(JSON.stringify(latencies));
  await worker.close();
}

async function send() {
  const queue = new Queue('pickup', { connection });
  for (let number = 0; number < jobs; number++) {
    await queue.add('stamp', { sent: now() });
    await new Promise((done) => setTimeout(done, 30));
  }
  await queue.close();
}

await { drain, work, send }[what]();
