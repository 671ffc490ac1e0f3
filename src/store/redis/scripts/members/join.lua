-- join: makes a node a member, updates its metadata, or renames it.
--
-- ARGV: node id, process, presence kind (connection|none), metadata (JSON), candidate (1|0), version of the
--   settings that the caller knows, those settings, for how long it has seen the dead nonce gone (ms), known token,
--   known event seq, known message seq, fresh epoch, force (1|0), dead nonce (the presence that the caller sees gone, or ''), own incarnation (0: a new life),
--   presence nonce that is subscribed, or '', producer, own cursor or '', epoch of that cursor or '',
--   rename from (node id) or '', former process (a one-shot's, taken over by the host's node) or '', draining (1|0) or ''
--   (as it is), which of the node's statements about itself this is, aliases that the process remembers,
--   cursor of this very id that the host kept or '', epoch of that cursor or '', the own cursor is another id's (1|0)
-- Returns: ['joined', now, incarnation, joined at, cursor, rejoined (1|0), aliases, numbers, registered (1|0), where receiving
--   stood under the id that a rename took, or ''] or
--   ['held', now, incarnation, presence nonce, subscribers, whether its absence can prove a death (1|0), ms to its deadline, its metadata]
--   or ['replaced', now].
-- Atomic, because two processes with one id must not both find it free, and because a rename must not lose its cursor.
local id, process, kind, metadata, candidate = ARGV.node_id, ARGV.process, ARGV.kind, ARGV.metadata, ARGV.candidate
local force, dead_nonce, own, nonce = ARGV.force == '1', ARGV.dead_presence, ARGV.own_incarnation, ARGV.presence
local producer, own_cursor, cursor_epoch, rename_from, former = ARGV.producer, ARGV.cursor, ARGV.cursor_epoch, ARGV.rename_from, ARGV.former
local draining, revision, remembered = ARGV.draining, ARGV.revision, ARGV.aliases

local good, named = pcall(cjson.decode, metadata)
local name = good and type(named) == 'table' and named.name or ''
if type(name) ~= 'string' or name == '' then
  name = id
end

make_way()
open(ARGV.known_token, ARGV.known_event, ARGV.known_message, ARGV.fresh_epoch)
take_settings(ARGV.settings_version, ARGV.settings)
guard_stall()

local row = read_row(id)
local mine = row and (row.p == process or (former ~= '' and row.p == former) or row.i == own)
-- The row of an earlier incarnation than the caller's, from a stale copy of the data. It had ended before the caller's began.
local outlived = row and not mine and own ~= '0' and number(row.i, 0) < number(own, 0)
local server = run_id()

if outlived then
  if is_live(row) then
    end_life(id, row, 'offline', 'replaced')
    row = read_row(id)
  end
elseif row and not mine and own ~= '0' then
  -- A replaced incarnation does not take the id back.
  return { 'replaced', int(now) }
elseif row and not mine and is_live(row) then
  local left = number(call('ZSCORE', BEATS, id), 0) - cluster_now()
  local held_nonce, held_server = read_presence(id)
  local there = held_nonce ~= '' and subscribers(presence_channel(held_nonce)) or 0
  -- Whether the missing presence proves a death. On the server process that knew it, always. After a restart of the server, to the one
  -- that holds the store on disk of whoever joined: that store has one process, which would have sent a heartbeat within the grace, or
  -- has stopped acting.
  local same = held_server == server
  local heir = row.r ~= '' and row.r == producer
  -- The cluster's grace, and the promise of the holder if it leads; not the grace in the caller's file.
  local leader = read_leader()
  local grace = math.max(meta.grace, leader and leader.holder == id and leader.grace or 0)
  local died = dead_nonce ~= '' and dead_nonce == held_nonce and there == 0 and covers(tonumber(ARGV.dead_for), grace)
    and (same or heir and meta.ttl - left >= grace)
  if force then
    end_life(id, row, 'offline', 'replaced')
    call('PUBLISH', PREFIX .. 'all', 'register')
  elseif died then
    end_life(id, row, 'offline', 'process_died')
  elseif left < 0 then
    end_life(id, row, 'offline', 'heartbeat_timeout')
  else
    return { 'held', int(now), row.i, held_nonce, there, (same or heir) and 1 or 0, int(left), row.m }
  end
  row = read_row(id)
end

-- The producer that owns the id's cursor while a process with another store uses the id: the cursor is kept for that owner.
local lent = row and row.o
if row and not mine and row.r ~= '' and row.r ~= producer then
  lent = lent or row.r
end
if lent == producer then
  lent = nil
end

local known = row ~= nil or call('HEXISTS', CURSORS, id) == 1
local aliases = row and row.a or ''

-- A cursor that a node kept itself. One of an earlier data set counts, so that lost messages appear as a gap and messages that a
-- stale copy still holds are not delivered twice; but it skips no message of this data set.
local function witness(seq, epoch)
  if seq == '' or epoch == '' then
    return -1
  end
  return epoch == meta.epoch and tonumber(seq) or math.min(tonumber(seq), meta.message_start)
end

-- The cursor under this id, and under the one that the process had before: the acknowledged position, or the one that was kept on
-- disk if that is higher or the only one.
local elsewhere = ARGV.elsewhere == '1'
local stood = math.max(number(call('HGET', CURSORS, id), -1), witness(ARGV.stood, ARGV.stood_epoch))
local behind = witness(own_cursor, cursor_epoch)
if not elsewhere then
  stood, behind = math.max(stood, behind), -1
end

-- Merges aliases: no id twice, never the node's own, and at most 1,000 bytes.
local function merge_aliases(first, more)
  local taken, all = { [id] = true }, ''
  for alias in string.gmatch(first .. ' ' .. more, '%S+') do
    if not taken[alias] and #all < 1000 then
      taken[alias] = true
      all = all == '' and alias or all .. ' ' .. alias
    end
  end
  return all
end

-- Leaves an id that this process had before. Its aliases and its cursor move to the new id; a borrowed cursor stays.
local function leave_behind(from, old)
  local leader = read_leader()
  if leader and leader.holder == from and leader.incarnation == old.i then
    vacate_leader(leader, 'resigned')
  end
  local borrowed = old.o and old.o ~= producer and old.o
  old.a, old.r = '', borrowed or ''
  if is_live(old) then
    end_life(from, old, 'left', 'left')
  end
  if not borrowed then
    call('HDEL', CURSORS, from)
    call('ZREM', ACKS, from)
  end
end

local renamed = false
if rename_from ~= '' and rename_from ~= id then
  local old = read_row(rename_from)
  if not old then
    -- The old row is lost with the data: trust the process about its former id.
    renamed = true
    aliases = merge_aliases(rename_from, mine and aliases or '')
  elseif old.p == process then
    renamed = true
    behind = math.max(behind, number(call('HGET', CURSORS, rename_from), -1))
    -- If this rename is repeated, the new row has the earlier aliases already.
    aliases = merge_aliases(rename_from, old.a .. ' ' .. (mine and aliases or ''))
    leave_behind(rename_from, old)
  end
end
-- A stale copy may not know of a rename: keep the aliases, so that messages to the old id arrive, and free that id.
if remembered ~= '' then
  aliases = merge_aliases(aliases, remembered)
  for alias in string.gmatch(remembered, '%S+') do
    local old = alias ~= id and read_row(alias)
    if old and old.p == process and is_live(old) then
      leave_behind(alias, old)
    end
  end
end

-- Receiving continues at the cursor of this id; if the id is unknown, at that of the previous id, or at the newest message. A rename
-- to a known id continues from the lower of both: the node itself skips what it has received already.
local cursor = stood >= 0 and stood or behind >= 0 and behind or meta.message_seq
if renamed and behind >= 0 then
  cursor = math.min(cursor, behind)
end
cursor = int(cursor)

local fresh = not (row and mine and is_live(row))
local incarnation = own
if own == '0' then
  incarnation = (not fresh) and row.i or next_token()
end
local status = (not fresh) and row.s or 'online'
if not fresh and number(row.v, 0) > number(revision, 0) then
  -- Calls may overtake each other: the later statement stays.
  revision = row.v
elseif draining ~= '' then
  status = draining == '1' and 'draining' or 'online'
end
local joined = (not fresh) and row.j or int(now)
local after = { i = incarnation, p = process, s = status, k = kind, j = joined, c = candidate, r = producer, a = aliases, m = metadata,
  v = revision }
-- Keep fields that a newer release wrote for this incarnation.
for field, value in pairs((not fresh) and row or {}) do
  after[field] = after[field] or value
end
after.o = lent
local changed = fresh or row.o ~= lent
for field, value in pairs(after) do
  changed = changed or row[field] ~= value
end
if changed then
  write_row(id, after)
end
call('ZADD', BEATS, int(cluster_now() + meta.ttl), id)
call('ZREM', AWAY, id)
call('HSET', CURSORS, id, cursor)
call('ZADD', ACKS, cursor, id)

local registered = 0
if nonce ~= '' and subscribers(presence_channel(nonce)) > 0 then
  call('HSET', PRESENCE, id, nonce .. ' ' .. server)
  registered = 1
  is_known(nonce)
elseif kind == 'none' then
  call('HDEL', PRESENCE, id)
end
if fresh then
  emit('node_joined', id, 'name', name, 'incarnation', incarnation, 'rejoined', known and 1 or 0)
end
return { 'joined', int(now), incarnation, joined, cursor, known and 1 or 0, aliases, numbers_reply(), registered,
  renamed and stood >= 0 and int(stood) or '' }
