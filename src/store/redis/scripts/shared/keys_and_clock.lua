-- Prelude of every script, followed by shared/members.lua, shared/settled.lua and shared/leases.lua.
--
-- KEYS (all in one hash slot, the same list for every script; leases/once.lua gets its own behind them):
--   1 meta       hash    epoch, run_id (the last server process that wrote), version, floor, token, event_seq, message_seq, event_start, message_start,
--                        last_tick, skew, stalled_at (ms), settled_at (cluster time at which this server process first wrote, or
--                        the data set began), longest (TTL that a presence was granted, ms), message_lift (where the newest messages may be
--                        lost: the next message is numbered after it; otherwise 0 or lower than message_seq), lift_from and lift_to (the
--                        range of numbers that was skipped last), lifts ("<from>-<to> ...": the 16 ranges before that in this data set), noted and doubt (see shared/settled.lua),
--                        trimmed, task_seq, lane_seq; the settings of the cluster: interval, ttl, lease,
--                        grace (ms), mode ('exclusive' or 'fenced'), and settings (their version, see take_settings); and what members/repair.lua
--                        and tasks/repair.lua detect losses with: mend_at, mended, open_lanes, lane_at, has_delayed, ended, walk_at,
--                        memory ("<asked, server time> <maxmemory>"), task_bytes, bytes_at, jumps (of the clock, see leases/once.lua), stuck ("<member> <its cursor> <cluster time>", while the stream is full)
--   2 members    hash    node id -> row, a JSON object of texts (see Row below)
--   3 beats      zset    live node id -> deadline in cluster time
--   4 changes    zset    node id -> version of its last change
--   5 lease:leader hash  the leader's record
--   6 events     stream  <event seq>-0
--   7 messages   stream  <seq of the entry's last message>-0
--   8 presence   hash    node id -> "<nonce> <run_id>"
--   9 acks       zset    node id -> acknowledged message seq, of members whose backlog is kept
--  10 cursors    hash    node id -> acknowledged message seq
--  11 producers  hash    producer -> "<producer seq> <message seq>" of its last accepted call
--  12 away       zset    node id -> cluster time at which it left
--  13 leases     zset    lease name -> cluster time at which it expires, or its offer to a waiter does
--  14 running    zset    task id -> cluster time at which it is taken from its worker
--  15 delayed    zset    task id -> cluster time at which it is ready at the latest
--  16 done       list    "<cluster time> <task id>" of done tasks, oldest first
--  17 lanes      hash    "<kind> <requirements>" -> number of the lane that holds such ready tasks
--  18 failed     zset    task id -> cluster time at which it failed for good, or was cancelled
--  19 dead       zset    task id -> cluster time at which its last attempt failed
--  last, with Sentinel or Redis Cluster only: absent   never exists (see keys.rs)
-- Keys that scripts name themselves, by the same prefix:
--   sizes             list    how many bytes the stream of messages holds (see messages/trim.lua)
--   sent              hash    producer -> bytes of it
--   strangers         set    nonces of presences that were subscribed when this server process or data set began (see shared/settled.lua)
--   lease:<name>      hash    a lease's record (see shared/leases.lua); a vacant one without waiters expires after a day
--   queue:<name>      zset    "<ticket> <node> <incarnation> <presence or -> <grace>" of a waiter -> its place
--   owned:<node id>   set     names of leases that were granted to this node id; the records decide
--   request:<node id> <name> <request id>   string   "<token> <expires at, server time>" of the first grant
--   once:<key>        string  "<node id> <at, server time> <request id>\30<ttl, ms>", kept for longer than that (see leases/once.lua)
--   bucket:<name>, buckets, permitted:<node id> <name> <request id>   permits of a rate (see limits/take.lua)
--   slots, slot:<name>, slot_by:<name>, slot_queue:<name>, slot_offers:<name>, slots_of:<node id>, slot_request:…, slot_released:<token>   (see limits/slots.lua)
--   withdrawn:<ticket of an acquisition, or nonce of a claim>   string   its caller gave it up without an answer (see leases/withdraw.lua)
--   withdrawn:<node id> <request id>    string   "<incarnation> <number>" of the last call of leases/once.lua that was
--   task:<id>         hash    a task (see tasks/shared.lua)
--   scheduled         zset    id of a delayed task -> server time at which it is ready (see tasks/shared.lua)
--   task_bytes        hash    task id -> bytes that it takes; their sum is meta.task_bytes (see tasks/shared.lua)
--   lane:<number>     zset    ready task id -> minus priority times 10^12, plus its place in the order of submission
--   held:<node id>    set     ids of tasks that run there
--   claimed:<node id> hash    kinds -> the node's last claim of them (see tasks/claim.lua)
--   blocked, after:<task id>, limited, in_use:<key>, parked_lanes:<key>, parked:<key> <digest>   tasks that wait (see tasks/blocked.lua)
--   schedules, schedule:<id>   tasks that come again by the clock (see schedules/shared.lua)
--   transcript:<session>, transcript_size:<session>, transcript_done:<nonce>   copies of chat transcripts (see transcripts/shared.lua)
--   history:<node id> stream  <at, server time>-<number of the beat> -> s, the sample's text; ends with its window (see shared/samples.lua)
--   histories         zset    node id -> server time at which its history ends
--   written           string  nothing: it is written where replicas must confirm a call (see store/redis/scripts.rs)
--   announced         set     kinds announced since a claim of them last found fewer tasks than it asked for
--
-- Cluster time is the server's clock minus `skew`. It stands still while no tick reaches the server and does not follow
-- jumps of the clock, so that an outage of Redis never makes a live node late. It is the clock of liveness: deadlines, leases
-- and the timeouts of tasks use it. Schedules use the server's own clock: delays and retry pauses of tasks, and the expiry of
-- `once` keys, requests and vacant records. Numbers above 2^31 are stored as texts and written with %.0f, because Lua and
-- cjson would round their decimal form.
local META, MEMBERS, BEATS, CHANGES, LEADER, EVENTS, MESSAGES, PRESENCE, ACKS, CURSORS, PRODUCERS, AWAY, LEASES = unpack(KEYS, 1, 13)
local FIXED_KEYS = 19
local PREFIX = string.sub(META, 1, -5)
local call = redis.call

-- Replicate the effects of the script, not the script: it reads the clock. Only old servers need to be told.
if redis.replicate_commands then
  redis.replicate_commands()
end

local function int(number)
  return string.format('%.0f', number)
end

-- A number as a reply: an integer, which costs a third of a text, unless it exceeds what Redis converts to an integer.
local function whole(number)
  return number > -9e15 and number < 9e15 and number or int(number)
end

local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_us = clock[1] * 1000000 + clock[2]

-- The identity of this server process; another server with a copy of the data has a different one.
local own_run_id
local function run_id()
  own_run_id = own_run_id or string.match(call('INFO', 'server'), 'run_id:(%w+)') or ''
  return own_run_id
end

-- Whether the caller knows several servers, which may be the primary one after the other.
local GUARDED = KEYS[#KEYS] == PREFIX .. 'absent'

-- Whether this server was a replica before it accepted writes, or may have got the data in another way while another server was
-- the primary: then that one may still run.
local function is_promoted()
  if GUARDED then
    return true
  end
  local second = string.match(call('INFO', 'replication'), 'master_replid2:(%w+)') or ''
  return string.find(second, '[^0]') ~= nil
end

local function presence_channel(nonce)
  return PREFIX .. 'presence:' .. nonce
end

local function subscribers(channel)
  return call('PUBSUB', 'NUMSUB', channel)[2]
end

local function number(value, otherwise)
  return tonumber(value or false) or otherwise
end

-- A full Redis refuses a script whose first write may need memory. If the first write needs none, it accepts all later ones
-- (tried on 5.0, 7.0 and Valkey 9). So scripts that the cluster cannot do without, and that need little memory, start with
-- such a write: heartbeats, elections, acknowledgements, and whatever frees memory.
local function make_way()
  call('HDEL', META, '')
end

-- Whether Redis is full. Call it before the first write; it writes nothing.
local function is_full()
  local refused = redis.pcall('SET', PREFIX .. 'full', '', 'XX')
  return type(refused) == 'table' and refused.err ~= nil and string.find(refused.err, 'OOM', 1, true) ~= nil
end

-- Opens the data set. An empty one, or one that knows less than the caller (a stale copy), begins a new epoch whose
-- numbers lie above everything that anyone has seen.
local meta
local function load_meta()
  local v = call('HMGET', META, 'epoch', 'version', 'floor', 'token', 'event_seq', 'message_seq', 'event_start',
    'message_start', 'interval', 'ttl', 'lease', 'last_tick', 'skew', 'stalled_at', 'run_id', 'settled_at',
    'open_lanes', 'has_delayed', 'ended', 'walk_at', 'grace', 'mode', 'settings', 'longest', 'noted', 'doubt',
    'message_lift', 'lift_from', 'lift_to', 'memory')
  meta = {
    epoch = v[1] or '', version = number(v[2], 0), floor = number(v[3], 0), token = number(v[4], 0),
    event_seq = number(v[5], 0), message_seq = number(v[6], 0), event_start = number(v[7], 0),
    message_start = number(v[8], 0), interval = number(v[9], 0), ttl = number(v[10], 0), lease = number(v[11], 0),
    last_tick = number(v[12], now), skew = number(v[13], 0), stalled_at = number(v[14], 0),
    run_id = v[15] or '', settled_at = number(v[16], 0), open_lanes = number(v[17], 0), has_delayed = v[18],
    ended = v[19] or '', walk_at = v[20] or '', grace = number(v[21], 0), mode = v[22] or '', settings = number(v[23], 0),
    longest = number(v[24], 0), noted = v[25] or '', doubt = v[26] or '',
    message_lift = number(v[27], 0), lift_from = number(v[28], 0), lift_to = number(v[29], 0), memory = v[30] or '',
  }
end

-- Settings of the cluster as a caller brings them: "<interval> <ttl> <lease> <grace> <mode>", times in ms.
local function write_settings(version, text)
  local interval, ttl, lease, grace, mode = string.match(text, '^(%d+) (%d+) (%d+) (%d+) (%a+)$')
  meta.settings, meta.interval, meta.ttl, meta.lease = version, tonumber(interval), tonumber(ttl), tonumber(lease)
  meta.grace, meta.mode = tonumber(grace), mode
  call('HMSET', META, 'settings', int(version), 'interval', interval, 'ttl', ttl, 'lease', lease, 'grace', grace, 'mode', mode)
end

-- Takes the caller's settings if they are newer than those of the data set. Version 0 comes from a node's own file and is
-- unconfirmed; the first granted term makes it version 1, and `config push` raises it. So after a loss of data the first node
-- to return cannot shorten the times that a live leader follows: every node that knew the settings sends them with its next
-- tick, under their higher version. A data set of the previous release has no grace and no mode: they are filled in.
local function take_settings(version, text)
  version = tonumber(version)
  if version > meta.settings or meta.interval == 0 then
    write_settings(math.max(version, meta.settings), text)
  elseif meta.grace == 0 or meta.mode == '' then
    local grace, mode = string.match(text, '(%d+) (%a+)$')
    meta.grace, meta.mode = tonumber(grace), mode
    call('HMSET', META, 'grace', grace, 'mode', mode)
  end
end

-- Where a counter continues when some of its last numbers may be lost: above all of them, and above where it continued after any
-- other loss, whichever copy of the data each loss started from.
-- A counter starts at the server's time in microseconds and rises by less than one per microsecond, so it stays behind the clock. So
-- the clock alone lies above every lost number, and a later loss finds a later time, whether it starts from the same copy, an older
-- one, or none. Adding anything would put the counter ahead of the clock, and a second loss from an older copy below the first.
-- The clock lies behind the counter only if it was set back. Then fewer than a million numbers are assumed to be lost, and the time
-- since the last tick, by the present clock, separates two losses from one copy.
local function lift(top)
  if now_us > top then
    return now_us
  end
  return top + 1000000 + math.max(0, now_us - meta.last_tick * 1000)
end

-- Called before the first write of a new server process: the last writes of the previous one may be lost, so no token, message
-- number or row version may be used twice. Message numbers skip only when the next message is written (messages/publish.lua), so
-- that readers who have read everything see no gap.
local function settle()
  if meta.run_id == run_id() then
    return
  end
  if meta.run_id ~= '' then
    meta.moved, meta.begun, meta.doubt = true, true, ''
    meta.token, meta.message_lift = lift(meta.token), lift(meta.message_seq)
    meta.version = meta.version + 1000000
    meta.floor = meta.version
    call('HMSET', META, 'token', int(meta.token), 'version', int(meta.version), 'floor', int(meta.floor), 'doubt', '',
      'message_lift', int(meta.message_lift))
  end
  meta.run_id = run_id()
  call('HSET', META, 'run_id', meta.run_id)
end

-- Whether a message's number was left out in this data set: whoever knows it has seen a message that is lost.
local function was_left_out(seq)
  if meta.lift_to == 0 or seq > meta.lift_from then
    return seq < meta.lift_to
  end
  local lifts = redis.pcall('HGET', META, 'lifts')
  for from, to in string.gmatch(type(lifts) == 'string' and lifts or '', '(%d+)-(%d+)') do
    if seq > tonumber(from) and seq < tonumber(to) then
      return true
    end
  end
  return false
end

local function open(known_token, known_event, known_message, fresh_epoch)
  load_meta()
  local token, event_seq, message_seq = tonumber(known_token), tonumber(known_event), tonumber(known_message)
  local lost = was_left_out(message_seq)
  local stale = meta.epoch == '' or token > meta.token or event_seq > meta.event_seq or message_seq > meta.message_seq or lost
  local had_data = meta.epoch ~= ''
  local tops = { token = math.max(token, meta.token), event_seq = math.max(event_seq, meta.event_seq),
    message_seq = math.max(message_seq, meta.message_seq) }
  settle()
  if not stale then
    return
  end
  for name, top in pairs(tops) do
    -- If settle() has lifted this counter already, this gives the same number.
    meta[name] = math.max(meta[name], lift(top))
  end
  meta.epoch, meta.event_start, meta.message_start = fresh_epoch, meta.event_seq, meta.message_seq
  -- If an operator loaded an older copy into this running process, records that this process wrote may be outdated. A data set that
  -- began here a moment ago is no such copy: its first caller just knew fewer numbers.
  local old = now - meta.skew - meta.settled_at > math.max(meta.longest, meta.lease, 30000)
  meta.doubt = had_data and not meta.begun and old and '1' or meta.doubt
  meta.floor, meta.begun = meta.version, true
  call('HMSET', META, 'epoch', meta.epoch, 'token', int(meta.token), 'event_seq', int(meta.event_seq), 'message_seq',
    int(meta.message_seq), 'event_start', int(meta.event_start), 'message_start', int(meta.message_start), 'floor',
    int(meta.floor), 'last_tick', int(now), 'skew', int(meta.skew), 'doubt', meta.doubt,
    'lift_from', 0, 'lift_to', 0, 'lifts', '')
  if meta.doubt ~= '' and redis.pcall('HEXISTS', LEADER, 'run_id') == 1 then
    call('HSET', LEADER, 'run_id', '')
  end
  call('PUBLISH', PREFIX .. 'all', 'register')
end

local function cluster_now()
  return now - meta.skew
end

-- Half a member TTL: the longest jump of the server's clock that goes unnoticed. Before the first member, that of the default TTL.
local function half_ttl()
  return math.floor((meta.ttl > 0 and meta.ttl or 30000) / 2)
end

local note_strangers

-- Stall guard: cluster time stands still during a silence of more than half a TTL, during backward jumps of the clock, and across
-- a change of the server process, whose data may lack the last heartbeats.
-- Every transition that writes a lease or a vacancy calls it first: a time written before the guard would lie in the future after it.
local function guard_stall()
  if meta.epoch == '' then
    return
  end
  settle()
  local silence = now - meta.last_tick
  if silence < 0 or meta.moved or silence > half_ttl() then
    meta.skew, meta.stalled_at = meta.skew + silence, now
    meta.moved = false
    call('HMSET', META, 'skew', int(meta.skew), 'stalled_at', int(now))
  end
  if meta.begun then
    meta.settled_at, meta.begun = cluster_now(), false
    call('HSET', META, 'settled_at', int(meta.settled_at))
    note_strangers()
  end
  call('HSET', META, 'last_tick', now)
end
