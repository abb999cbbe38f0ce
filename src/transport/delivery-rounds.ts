// When things are written: what the events of one turn of the event loop have for a socket goes out in one write at the
// end of that turn. Most of what a delivery costs is the write, so the fewer the better. A lone event waits for no timer.

/** Somebody with something to do at the end of the turn. */
interface Due {
  run(): void
}

export class DeliveryRounds {
  #deliveries: Due[] = []
  #queues: Due[] = []
  /** Takes the place of the one that is being worked off. */
  #spare: Due[] = []
  #isScheduled = false

  /** Has the delivery take what there is for it, before the queues are written. Each is added once a round. */
  addDelivery(delivery: Due): void {
    this.#deliveries.push(delivery)
    this.#schedule()
  }

  /** Has the queue written. */
  addQueue(queue: Due): void {
    this.#queues.push(queue)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => this.#run())
  }

  #run(): void {
    this.#isScheduled = false
    const deliveries = this.#deliveries
    this.#deliveries = this.#spare
    for (const delivery of deliveries) delivery.run()
    deliveries.length = 0
    const queues = this.#queues
    this.#queues = deliveries
    for (const queue of queues) queue.run()
    queues.length = 0
    this.#spare = queues
  }
}
