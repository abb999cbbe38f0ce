// People and rooms for a bench, put into the product's tables as they are: as many as wanted, with ids that follow from
// their numbers, so that pgbench's scripts can make them as well.

import { withClient } from './postgres.ts'

const FIRST = 100_000_000_000
const PREFIX = '00000000-0000-7000-8000-'

/** People and rooms are numbered from 1. */
export function seedId(number: number): string {
  return `${PREFIX}${FIRST + number}`
}

/** A seeded id in SQL, of a number that is an expression. */
export function seedIdSql(number: string): string {
  return `('${PREFIX}' || (${FIRST} + ${number})::text)::uuid`
}

/** The subject of the person's token, and their name. */
export function subjectOf(number: number): string {
  return `user-${number}`
}

/** Public rooms, and people of whom the first are members of all rooms. */
export async function seedRooms(
  url: string,
  { people, rooms, members = people }: { people: number; rooms: number; members?: number },
): Promise<void> {
  const [room, person] = [seedIdSql('r'), seedIdSql('p')]
  await withClient(url, async (client) => {
    await client.query(`INSERT INTO users (id, subject, name) SELECT ${person}, 'user-' || p, 'user-' || p
      FROM generate_series(1, ${people}) p`)
    await client.query(`INSERT INTO rooms (id, kind, name, slug, search_text, member_count, created_by_id)
      SELECT ${room}, 'PUBLIC', 'Room ' || r, 'room-' || r, 'room ' || r, ${members}, ${seedIdSql('1')}
      FROM generate_series(1, ${rooms}) r`)
    await client.query(`INSERT INTO memberships (id, room_id, user_id, role) SELECT gen_random_uuid(), ${room}, ${person},
      CASE p WHEN 1 THEN 'OWNER' ELSE 'MEMBER' END::"MemberRole"
      FROM generate_series(1, ${rooms}) r, generate_series(1, ${members}) p`)
    // Not the empty tables: those of a new installation were never analysed either.
    await client.query('VACUUM ANALYZE users, rooms, memberships')
  })
}
