import { describe, it } from 'vitest'
import type { NotificationHistory, ReceivedTelling } from './history.ts'
import { expectCaught, type Planting, pickWhere } from './planting.ts'
import type { Random } from './random.ts'

describe('the checker of notifications', () => {
  type Told = Mutable<NotificationHistory>
  type Mutable<T> = { -readonly [Key in keyof T]: T[Key] extends readonly (infer Item)[] ? Item[] : T[Key] }

  /** The model's lists are not readonly to its own tests. */
  const inNotifications =
    (change: (told: Told, random: Random) => boolean | null): Planting =>
    ({ notifications }, random) =>
      change(notifications as Told, random)

  /** Changes one that fits; the model's rows are not readonly to its own tests. */
  const changing = <Key extends 'stored' | 'deliveries' | 'received' | 'unread'>(
    list: Key,
    fits: (item: Told[Key][number]) => boolean,
    to: (item: Told[Key][number]) => object,
  ): Planting =>
    inNotifications((told, random) => {
      // One type of rows at a time.
      const item = pickWhere<Told[Key][number]>(told[list], fits, random)
      if (item) Object.assign(item, to(item))
      return item !== null
    })
  const forget = (told: Told, gone: string) => {
    told.deliveries = told.deliveries.filter(({ notification }) => notification !== gone)
    told.received = told.received.filter(({ notification }) => notification !== gone)
  }
  const isWritten = ({ kind }: { kind: string }) => kind !== 'ROOM_ADDED'

  it('catches one that nobody was told of', () => {
    const plant = inNotifications((told, random) => {
      // Whether one who wants nothing was told of being added is left open.
      const lost = pickWhere(told.stored, (row) => row.isRead && isWritten(row), random)
      if (!lost) return null
      told.stored = told.stored.filter((one) => one !== lost)
      forget(told, lost.id)
      return true
    })
    expectCaught(plant, 'untold')
  })

  it('catches an event that is not counted', () => {
    const less = changing(
      'stored',
      ({ version, count }) => version === 1 && count > 1,
      ({ count }) => ({ count: count - 1 }),
    )
    expectCaught(less, 'miscounted', 'untold')
  })

  it('catches one that somebody was told of twice', () => {
    const plant = inNotifications((told, random) => {
      const first = pickWhere(told.stored, ({ isRead }) => isRead, random)
      if (!first) return null
      const again = `${first.id} again`
      const copied = <Row extends { notification: string; identity: string }>(rows: Row[]) =>
        rows
          .filter(({ notification }) => notification === first.id)
          .map((row) => ({ ...row, notification: again, identity: `${row.identity} again` }))
      told.stored.push({ ...first, id: again })
      told.deliveries.push(...copied(told.deliveries))
      told.received.push(...copied(told.received))
      return true
    })
    expectCaught(plant, 'retold')
  })

  it('catches one in the inbox of somebody whom it is not for', () => {
    const plant: Planting = (history, random) => {
      const told = history.notifications as Told
      // Nothing that is written is for who wants nothing.
      const nobody = told.absentees.find(({ level }) => level === 'NONE')
      const row = pickWhere(told.stored, isWritten, random)
      if (!nobody || !row) return null
      const foreign = { ...row, id: 'foreign', user: nobody.user, isRead: true, version: 0, events: 0 }
      told.stored.push(foreign)
      return true
    }
    expectCaught(plant, 'misdirected')
  })

  it('catches one that shows a message that is nothing to its user', () => {
    const isMine = changing('stored', isWritten, () => ({ message: 'another message' }))
    expectCaught(isMine, 'misdirected')
  })

  it('catches one that stands in the log of its user too often, or not at all', () => {
    const always = () => true
    expectCaught(
      changing('stored', always, ({ events }) => ({ events: events + 1 })),
      'retold',
    )
    expectCaught(
      changing('stored', always, ({ events }) => ({ events: events - 1 })),
      'untold',
    )
  })

  it('catches a version that was planned for no target, and one that was planned twice', () => {
    const missing = inNotifications((told, random) => {
      const { target, notification, version } = random.pick(told.deliveries)
      const isOther = (row: { target: string; notification: string; version: number }) =>
        row.target !== target || row.notification !== notification || row.version !== version
      told.deliveries = told.deliveries.filter(isOther)
      told.received = told.received.filter(isOther)
      // What was outdated by it is no more.
      return told.deliveries.every(
        (row) => row.state !== 'DEAD' || row.notification !== notification || row.target !== target,
      )
    })
    expectCaught(missing, 'untold')
    const twice = inNotifications((told, random) => {
      const row = pickWhere(told.deliveries, ({ state }) => state === 'DELIVERED', random)
      if (row) told.deliveries.push({ ...row, identity: 'its double' })
      return row !== null
    })
    expectCaught(twice, 'retold')
  })

  it('catches a delivery that did not arrive, whatever is said of it', () => {
    const unanswered: Planting = inNotifications((told, random) => {
      const row = pickWhere(told.deliveries, ({ state }) => state === 'DELIVERED', random)
      const got = told.received.filter(({ identity, target }) => identity === row?.identity && target === row.target)
      for (const telling of got) telling.status = random.chance(0.5) ? null : 503
      return row !== null
    })
    expectCaught(unanswered, 'untold')
    const isDelivered = ({ state }: { state: string }) => state === 'DELIVERED'
    expectCaught(
      changing('deliveries', isDelivered, () => ({ state: 'DEAD', error: 'no answer' })),
      'untold',
    )
    expectCaught(
      changing('deliveries', isDelivered, () => ({ state: 'FAILED' })),
      'pending',
    )
  })

  it('catches a repetition that cannot be told, and one that says something else', () => {
    const isRepeated = (told: Told) =>
      told.received.filter(({ identity, target }, index) => {
        return told.received.findIndex((one) => one.identity === identity && one.target === target) < index
      })
    const plant = (change: (telling: ReceivedTelling) => object) =>
      inNotifications((told, random) => {
        const telling = pickWhere(isRepeated(told), ({ status }) => status === null, random)
        if (telling) Object.assign(telling, change(telling))
        return telling !== null
      })
    expectCaught(
      plant(() => ({ identity: 'another' })),
      'retold',
    )
    expectCaught(
      plant(() => ({ digest: 'another' })),
      'retold',
    )
  })

  it('catches what a foreign device gets, and what no row stands for', () => {
    const foreign = inNotifications((told, random) => {
      const { target, notification, version } = random.pick(told.received)
      for (const one of told.received) {
        const isIt = one.target === target && one.notification === notification && one.version === version
        if (isIt) Object.assign(one, { user: 'somebody else' })
      }
      return true
    })
    expectCaught(foreign, 'misdirected')
    const rolledBack = inNotifications((told, random) => {
      const telling = random.pick(told.received)
      told.received.push({ ...telling, version: telling.version + 10, identity: 'another' })
      return true
    })
    expectCaught(rolledBack, 'miscounted', 'misdirected')
  })

  it('catches numbers that do not fit', () => {
    const always = () => true
    expectCaught(
      changing('unread', always, ({ said }) => ({ said: said + 1 })),
      'miscounted',
    )
    const isLast = inNotifications((told, random) => {
      const { target, notification, version } = random.pick(told.received)
      for (const one of told.received) {
        const isIt = one.target === target && one.notification === notification && one.version === version
        if (isIt) Object.assign(one, { count: one.count + 100 })
      }
      return true
    })
    expectCaught(isLast, 'miscounted')
  })

  it('catches what is left to do', () => {
    const plant = inNotifications((told) => told.pending.push('1 rooms') > 0)
    expectCaught(plant, 'pending')
  })
})
