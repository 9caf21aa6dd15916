"""Jobs beside the data: an order and the job that sends its receipt are there together, or neither is."""

import psycopg
import trio
import trioq
import trioq.postgres

DATABASE = "postgresql:///shop"

queue = trioq.Queue("mail", backend=DATABASE)


@queue.task
async def send_receipt(order: str) -> None:
    print(f"receipt for {order}")


async def place(connection: trioq.postgres.Connection, order: str) -> None:
    async with connection.transaction(), queue.within(connection) as tx:
        await tx.enqueue(send_receipt.bind(order))
        await connection.execute("INSERT INTO orders (id) VALUES (%s)", [order])


async def main() -> None:
    async with queue, await trioq.postgres.connect(DATABASE, autocommit=True) as connection:
        await connection.execute("CREATE TABLE orders (id text PRIMARY KEY)")
        for order in ("tea", "cake", "tea"):
            try:
                await place(connection, order)
            except psycopg.errors.UniqueViolation:
                print(f"{order} was ordered before")
        await trioq.Worker(queue, concurrency=1).run_until_idle()


trio.run(main)
