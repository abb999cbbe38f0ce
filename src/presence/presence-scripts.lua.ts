// The Lua of the Redis presence store. Each script runs as one atomic step, with bounded work.
//
// A script touches the keys that it was given and no other, and all of them carry one hash tag: so it runs on a Redis
// Cluster, on one of its nodes (spreading rooms over a cluster is a later step).
//
// KEYS[1…5]  the global keys, in the order of GLOBAL_KEYS; then those of each scope, in the order of SCOPE_KEYS.
// ARGV[1]    the time in ms, or '' for the server's own clock, which all nodes then share.
// ARGV[2]    how many scopes; then the scopes, and then what is the script's own.
//
// Per scope:  :leases:S   zset  'state|node|user' -> expiry in ms; state is O (online) or A (away)
//             :held:S     hash  user -> how many leases
//             :online:S   hash  user -> how many of them O; absent when none
//             :present:S  zset  user -> since when, in ms
// Global:     :due        zset  scope -> not later than its earliest expiry (late bounds are tightened by a visit)
//             :rooms      zset  room -> how many users; the server scope is no room
//             :participants     the sum of :rooms
//             :expired    set   users whose last lease of the server scope has expired, until somebody takes them
//             :unreported set   scopes changed by a call that could not report it; the next sweep does
//
// Every key lives at most a day after the last change or visit, scopes never longer than the global keys:
// what all nodes abandon disappears. A visit that finds a scope's leases gone takes it out of the sums.

import { SERVER_SCOPE } from './presence-store.ts'

/** The global keys, behind the root. */
export const GLOBAL_KEYS = ['due', 'rooms', 'participants', 'expired', 'unreported']
/** The keys of a scope, between the root and its name. */
export const SCOPE_KEYS = ['leases', 'held', 'online', 'present']
/** Scopes of one call; sweeping more takes several. */
export const MAX_SCOPES = 250

const COMMON = `
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local DUE, ROOMS, PARTICIPANTS, EXPIRED, UNREPORTED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local SERVER, SAFETY_MS, BUDGET, MAX_SCOPES = '${SERVER_SCOPE}', 86400000, 500, ${MAX_SCOPES}

local scopes, firstKeyOf = {}, {}
for i = 1, tonumber(ARGV[2]) do
  scopes[i] = ARGV[2 + i]
  firstKeyOf[scopes[i]] = ${GLOBAL_KEYS.length} + (i - 1) * ${SCOPE_KEYS.length} + 1
end
-- Where the script's own arguments begin.
local FIRST = 3 + #scopes
local function leases(scope) return KEYS[firstKeyOf[scope]] end
local function held(scope) return KEYS[firstKeyOf[scope] + 1] end
local function online(scope) return KEYS[firstKeyOf[scope] + 2] end
local function present(scope) return KEYS[firstKeyOf[scope] + 3] end

local changed, isChanged, kept = {}, {}, false
local function change(scope)
  if not isChanged[scope] then
    isChanged[scope] = true
    changed[#changed + 1] = scope
  end
end

local function keep(scope)
  for _, key in ipairs({leases(scope), held(scope), online(scope), present(scope)}) do
    redis.call('PEXPIRE', key, SAFETY_MS)
  end
  kept = true
end

-- Last in every script that writes: the global keys outlive every scope.
local function finish()
  if not kept and #changed == 0 then return end
  for _, key in ipairs({DUE, ROOMS, PARTICIPANTS, EXPIRED, UNREPORTED}) do redis.call('PEXPIRE', key, SAFETY_MS) end
end

local function take(hash, user)
  local left = redis.call('HINCRBY', hash, user, -1)
  if left <= 0 then redis.call('HDEL', hash, user) end
  return left
end

local function arrive(scope, user)
  redis.call('ZADD', present(scope), now, user)
  if scope ~= SERVER then
    redis.call('ZINCRBY', ROOMS, 1, scope)
    redis.call('INCR', PARTICIPANTS)
  end
end

local function depart(scope, user)
  redis.call('ZREM', present(scope), user)
  if scope ~= SERVER then
    if tonumber(redis.call('ZINCRBY', ROOMS, -1, scope)) <= 0 then redis.call('ZREM', ROOMS, scope) end
    redis.call('DECR', PARTICIPANTS)
  end
end

-- The counts after a lease was taken out of the zset. Whether it was the user's last one.
local function lose(scope, state, user)
  if state == 'O' and take(online(scope), user) <= 0 then change(scope) end
  if take(held(scope), user) <= 0 then
    depart(scope, user)
    change(scope)
    return true
  end
  return false
end

-- Tightens the scope's bound in :due, or forgets the scope when nobody holds it any more.
local function settle(scope)
  local first = redis.call('ZRANGE', leases(scope), 0, 0, 'WITHSCORES')
  if first[2] then
    redis.call('ZADD', DUE, first[2], scope)
    keep(scope)
    return
  end
  local count = redis.call('ZSCORE', ROOMS, scope)
  if count then
    redis.call('DECRBY', PARTICIPANTS, count)
    redis.call('ZREM', ROOMS, scope)
  end
  redis.call('ZREM', DUE, scope)
  redis.call('DEL', leases(scope), held(scope), online(scope), present(scope))
end

local function expire(scope, budget)
  local expired = redis.call('ZRANGE', leases(scope), '-inf', now, 'BYSCORE', 'LIMIT', 0, budget)
  for _, lease in ipairs(expired) do
    local user = string.match(lease, '^.|[^|]*|(.*)$')
    if lose(scope, string.sub(lease, 1, 1), user) and scope == SERVER then redis.call('SADD', EXPIRED, user) end
  end
  if #expired > 0 then redis.call('ZREMRANGEBYRANK', leases(scope), 0, #expired - 1) end
  settle(scope)
  return #expired
end

local function countDue()
  return redis.call('ZCOUNT', DUE, '-inf', now)
end

-- For scripts that answer something else: leaves the report to the next sweep.
local function reportLater()
  for _, scope in ipairs(changed) do redis.call('SADD', UNREPORTED, scope) end
  finish()
end
`

/** Own: node, ttl in ms, then for each lease: state, which of the scopes, user. Returns the changed scopes. */
export const HOLD = `${COMMON}
local node, expiry = ARGV[FIRST], now + tonumber(ARGV[FIRST + 1])
for i = FIRST + 2, #ARGV, 3 do
  local state, scope, user = ARGV[i], scopes[tonumber(ARGV[i + 1])], ARGV[i + 2]
  local lease = '|' .. node .. '|' .. user
  -- A renewal ends here: one command for each lease.
  if redis.call('ZADD', leases(scope), expiry, state .. lease) == 1 then
    local other = state == 'O' and 'A' or 'O'
    local flipped = redis.call('ZREM', leases(scope), other .. lease) == 1
    if not flipped and redis.call('HINCRBY', held(scope), user, 1) == 1 then
      arrive(scope, user)
      change(scope)
    end
    if state == 'O' then
      if redis.call('HINCRBY', online(scope), user, 1) == 1 then change(scope) end
    elseif flipped and take(online(scope), user) <= 0 then
      change(scope)
    end
    keep(scope)
  end
end
for _, scope in ipairs(scopes) do redis.call('ZADD', DUE, 'LT', expiry, scope) end
finish()
return changed
`

/** Own: node, then for each lease: which of the scopes, user. Returns the changed scopes. */
export const RELEASE = `${COMMON}
local touched = {}
for i = FIRST + 1, #ARGV, 2 do
  local scope, user = scopes[tonumber(ARGV[i])], ARGV[i + 1]
  for _, state in ipairs({'O', 'A'}) do
    if redis.call('ZREM', leases(scope), state .. '|' .. ARGV[FIRST] .. '|' .. user) == 1 then
      lose(scope, state, user)
      touched[scope] = true
    end
  end
end
for scope in pairs(touched) do settle(scope) end
finish()
return changed
`

/** Own: limit. Returns users, and forgets them. */
export const TAKE_EXPIRED = `${COMMON}
return redis.call('SPOP', EXPIRED, ARGV[FIRST])
`

/** Returns some scopes that are due: what EXPIRE is to be given. */
export const FIND_DUE = `${COMMON}
return redis.call('ZRANGE', DUE, '-inf', now, 'BYSCORE', 'LIMIT', 0, MAX_SCOPES)
`

/** Removes what has expired in the scopes. Leaves the report to TAKE_CHANGES. Returns how many scopes are still due. */
export const EXPIRE = `${COMMON}
local budget = BUDGET
for _, scope in ipairs(scopes) do
  if budget <= 0 then break end
  budget = budget - expire(scope, budget)
end
reportLater()
return countDue()
`

/** Returns some of the changed scopes that nobody has reported, and forgets them. */
export const TAKE_CHANGES = `${COMMON}
return redis.call('SPOP', UNREPORTED, MAX_SCOPES)
`

/** One scope. Own: limit. Returns how many leases are still to expire, the count, then user, is online, … */
export const READ = `${COMMON}
local scope, limit = scopes[1], tonumber(ARGV[FIRST])
if redis.call('ZCOUNT', leases(scope), '-inf', now) > 0 then
  expire(scope, BUDGET)
  reportLater()
end
local reply = {redis.call('ZCOUNT', leases(scope), '-inf', now), redis.call('ZCARD', present(scope))}
if limit > 0 then
  for _, user in ipairs(redis.call('ZRANGE', present(scope), 0, limit - 1)) do
    reply[#reply + 1] = user
    reply[#reply + 1] = redis.call('HEXISTS', online(scope), user)
  end
end
return reply
`

/** Returns how many scopes are due, then the scopes' numbers of users. */
export const COUNTS = `${COMMON}
local reply = {countDue()}
for _, scope in ipairs(scopes) do reply[#reply + 1] = redis.call('ZCARD', present(scope)) end
return reply
`

/** Own: limit, at least 1. Returns how many scopes are due, then room, number of users, … */
export const BUSIEST = `${COMMON}
local rooms = redis.call('ZRANGE', ROOMS, 0, tonumber(ARGV[FIRST]) - 1, 'REV', 'WITHSCORES')
table.insert(rooms, 1, countDue())
return rooms
`

/** The server scope. Returns how many scopes are due, users online, active rooms, participants. */
export const TOTALS = `${COMMON}
local participants = tonumber(redis.call('GET', PARTICIPANTS) or 0)
return {countDue(), redis.call('ZCARD', present(SERVER)), redis.call('ZCARD', ROOMS), participants}
`
