// Who comes back within the grace period never left, to the others. The period is long here, and nothing waits for its
// end: a third person's coming shows that all before it has been told.

import { afterEach, expect, it } from 'vitest'
import { openDevice, PresenceWatch } from '../support/room-presence.ts'
import { person, stopAll } from '../support/seed.ts'
import { describeTopologies } from '../support/start-nodes.ts'

const SET_AWAY = `mutation ($connectionId: String) {
  setPresence(input: { state: AWAY, connectionId: $connectionId }) { __typename }
}`

describeTopologies(
  'a reconnect',
  (nodes) => {
    afterEach(stopAll)

    async function open() {
      const [first = '', second = first] = nodes().urls
      const [ada, bob] = await Promise.all([person(first, 'Ada'), person(second, 'Bob')])
      const room = await ada.createRoom()
      const watch = new PresenceWatch(ada.connect(first), room)
      await watch.sees({ Ada: 'ONLINE' })
      const expectNothingTold = async (bobs: 'ONLINE' | 'AWAY') => {
        const told = watch.items.length
        const present = watch.present
        for (const name of ['Cem', 'Deniz']) {
          const { client } = await openDevice(second, await person(second, name), room)
          Object.assign(present, { [name]: 'ONLINE' })
          await watch.sees({ Ada: 'ONLINE', Bob: bobs, ...present })
          await client.dispose()
        }
        const names = watch.items.slice(told).flatMap(({ changes }) => changes?.map(({ user }) => user.name))
        expect(names).toEqual(['Cem', 'Deniz'])
      }
      return { first, second, bob, room, watch, expectNothingTold }
    }

    it('makes no noise, on whichever node it ends', async () => {
      const { first, second, bob, room, watch, expectNothingTold } = await open()
      let bobs = await openDevice(second, bob, room)
      await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE' })
      for (const url of [second, first, second]) {
        bobs.client.terminate()
        bobs = await openDevice(url, bob, room)
      }
      bobs.client.terminate()
      await expectNothingTold('ONLINE')
      bobs = await openDevice(first, bob, room)
      await bobs.client.dispose()
    })

    it('makes no noise of one device while another one is away', async () => {
      const { second, bob, room, watch, expectNothingTold } = await open()
      const [lit, dark] = [await openDevice(second, bob, room), await openDevice(second, bob, room)]
      await bob.do(SET_AWAY, { connectionId: dark.connectionId })
      await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE' })
      lit.client.terminate()
      await expectNothingTold('ONLINE')
      await dark.client.dispose()
    })

    it('leaves who is away as they are, until they come back', async () => {
      const { first, second, bob, room, watch, expectNothingTold } = await open()
      const dark = await openDevice(second, bob, room)
      await bob.do(SET_AWAY)
      await watch.sees({ Ada: 'ONLINE', Bob: 'AWAY' })
      dark.client.terminate()
      await expectNothingTold('AWAY')
      const lit = await openDevice(first, bob, room)
      await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE', Cem: 'ONLINE', Deniz: 'ONLINE' })
      await lit.client.dispose()
    })
  },
  // Leases are renewed several times in the course of a story.
  { settings: { PRESENCE_GRACE_MS: '60000', PRESENCE_TTL_MS: '1000' } },
)
