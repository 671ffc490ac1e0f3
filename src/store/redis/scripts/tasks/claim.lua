-- task_claim: hands out the best ready tasks that the caller can do.
--
-- ARGV: node id, incarnation, how many, nonce of the claim, jitter (thousandths), bytes of payload after which no
--   further task is taken, then kinds, sorted (none: any)
-- Returns: [status, [id, token, attempt, kind, payload, expires at (server time), ...]]
-- Atomic, because no task may be handed out twice, and each gets its own token. `claimed:<node>` stores the last claim for these
-- kinds, "<nonce> <first token> <id> ...", so that a repeated claim whose answer was lost gets the same tasks.
local id, incarnation, limit, nonce, jitter = ARGV.node_id, ARGV.incarnation, tonumber(ARGV.limit), ARGV.nonce, tonumber(ARGV.jitter)
local most_bytes = tonumber(ARGV.claim_bytes)
make_way()
load_meta()
guard_stall()
local status, row = identify(id, incarnation, '')
if status ~= 'ok' then
  return { status, {} }
end
local kinds = table.concat(ARGV, ' ', ARGV.kinds.first)
local claimed = PREFIX .. 'claimed:' .. id
local reply = {}

local function hand_out(task, token, attempt, kind, payload, due)
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3], reply[at + 4], reply[at + 5] = task, token, attempt, kind, payload
  reply[at + 6] = due + meta.skew
end

local last_nonce, last_token, last_ids = string.match(try('HGET', claimed, kinds) or '', '^(%S+) (%d+)(.*)$')
if last_nonce == nonce then
  local token = tonumber(last_token)
  for task in string.gmatch(last_ids, '%S+') do
    local what, is = read_task(task)
    if what and is.state == 'running' and is.token == int(token) and is.node == id and is.incarnation == incarnation then
      hand_out(task, is.token, is.attempts, what.kind, call('HGET', TASK .. task, 'payload') or '', tonumber(is.due))
    end
    token = token + 1
  end
  return { status, reply }
end
if row.s == 'draining' or call('EXISTS', withdrawn_key(nonce)) == 1 then
  return { status, reply }
end

promote_due(100)
end_overdue(100, jitter)
settle_waiting()
forget_most(16)

-- What the caller can do; read only when a lane requires it.
local has
local function abilities()
  local good, metadata = pcall(cjson.decode, row.m)
  metadata = good and type(metadata) == 'table' and metadata or {}
  has = { capabilities = {}, labels = type(metadata.labels) == 'table' and metadata.labels or {}, ids = { [id] = true } }
  for _, capability in ipairs(type(metadata.capabilities) == 'table' and metadata.capabilities or {}) do
    has.capabilities[capability] = true
  end
  -- Also its ids from before renames, unless another live node uses them now.
  for alias in string.gmatch(row.a, '%S+') do
    local other = read_row(alias)
    has.ids[alias] = not (other and is_live(other))
  end
end

local function can_do(requires)
  local good, needs = pcall(cjson.decode, requires)
  if not good or type(needs) ~= 'table' then
    return false
  end
  if not has then
    abilities()
  end
  for _, capability in ipairs(type(needs.capabilities) == 'table' and needs.capabilities or {}) do
    if not has.capabilities[capability] then
      return false
    end
  end
  for label, value in pairs(type(needs.labels) == 'table' and needs.labels or {}) do
    if has.labels[label] ~= value then
      return false
    end
  end
  return needs.node_id == nil or has.ids[needs.node_id] == true
end

local asked = #ARGV < ARGV.kinds.first
local wanted = {}
for at = ARGV.kinds.first, #ARGV do
  wanted[ARGV[at]] = true
end
local lanes = {}
local all = call('HGETALL', LANES)
for at = 1, #all, 2 do
  local kind, requires = string.match(all[at], '^(%S+) ?(.*)$')
  -- Kinds of the nodes themselves go only to those who name them.
  if kind and (wanted[kind] or asked and string.sub(kind, 1, 9) ~= 'clawster.') and (requires == '' or can_do(requires)) then
    lanes[#lanes + 1] = { text = all[at], key = PREFIX .. 'lane:' .. all[at + 1], taken = 0, at = 1 }
  end
end

-- Merges the lanes by score: each lane is read in pages, and `order` is sorted by the score of the next task.
local page = #lanes == 1 and limit or math.min(limit, math.ceil(2 * limit / math.max(1, #lanes)))
local function refill(lane)
  lane.tasks = try('ZRANGE', lane.key, lane.taken, lane.taken + page - 1, 'WITHSCORES') or {}
  lane.at, lane.ends = 1, #lane.tasks < 2 * page
  lane.score = tonumber(lane.tasks[2] or false)
end
local order, finished = {}, {}
for _, lane in ipairs(lanes) do
  refill(lane)
  if lane.score then
    order[#order + 1] = lane
  else
    finished[#finished + 1] = lane
  end
end
table.sort(order, function(a, b)
  return a.score < b.score
end)

-- Whether a task with a limit may run beside those that do. Otherwise it is parked, at most a thousand in one call.
local used, keys, parked = {}, {}, 0
local function may_run(task, limit, what_text, text)
  local most, key = string.match(limit, '^(%d+) (%S+)$')
  if not key then
    return true
  end
  most = tonumber(most)
  used[key] = used[key] or blocking.running_with(key, most)
  if used[key] < most then
    used[key] = used[key] + 1
    keys[task] = key
    return true
  end
  local what, is = read_what(what_text), read_is(text)
  if what and is then
    local place, digest = blocking.parked_key(key, what.lane)
    blocking.block(task, what, is, 'limit')
    blocking.sure('ZADD', place, int(-what.priority * 1e12 + what.seq), task)
    blocking.sure('SADD', PREFIX .. 'parked_lanes:' .. key, digest)
  end
  parked = parked + 1
  return false
end

-- The fields of the chosen tasks, as parallel lists.
local ids, kind_of, attempts, timeouts, payloads = {}, {}, {}, {}, {}
local count, bytes = 0, 0
while count < limit and bytes < most_bytes and order[1] and parked < 1000 do
  local lane = order[1]
  local task = lane.tasks[lane.at]
  lane.taken, lane.at = lane.taken + 1, lane.at + 2
  local texts = redis.pcall('HMGET', TASK .. task, 'what', 'is', 'payload', 'limit')
  -- Checks that all three parts are there and well-formed, and that the task waits, with only two matches: this is the hottest loop.
  if texts[1] and texts[2] and texts[3] then
    local timeout, kind = string.match(texts[1], '^%d+ %-?%d+ %d+ (%d+) %d+ %S+ %S+ (%S+)')
    local before = string.match(texts[2], '^waiting %d+ %S+ %d+ (%d+) 0 %d+ %l+$')
    if timeout and before and (not texts[4] or may_run(task, texts[4], texts[1], texts[2])) then
      count, bytes = count + 1, bytes + #texts[3]
      ids[count], kind_of[count], attempts[count], timeouts[count], payloads[count] = task, kind, before + 1, timeout, texts[3]
    end
  end
  if not lane.tasks[lane.at] and not lane.ends then
    refill(lane)
  end
  lane.score = tonumber(lane.tasks[lane.at + 1] or false)
  if not lane.score then
    table.remove(order, 1)
    finished[#finished + 1] = lane
  else
    local place = 1
    while order[place + 1] and order[place + 1].score < lane.score do
      order[place] = order[place + 1]
      place = place + 1
    end
    order[place] = lane
  end
end
for _, lane in ipairs(lanes) do
  if lane.taken > 0 then
    call('ZREMRANGEBYRANK', lane.key, 0, lane.taken - 1)
  end
end
local gone = 0
for _, lane in ipairs(finished) do
  gone = gone + call('HDEL', LANES, lane.text)
  if lane.taken == 0 then
    start_walk()
  end
end
count_lanes(-gone)

if count > 0 then
  -- One block of tokens, so that `claimed` needs to hold only the first.
  meta.token = call('HINCRBY', META, 'token', count)
  local token = meta.token - count
  local deadlines, due_texts = {}, {}
  local of = ' ' .. id .. ' ' .. incarnation .. ' '
  local rest = ' ' .. time .. ' none'
  for at = 1, count do
    local due = cluster_now() + timeouts[at]
    earliest = math.min(earliest, due)
    local due_text = due_texts[due]
    if not due_text then
      due_text = int(due)
      due_texts[due] = due_text
    end
    call('HSET', TASK .. ids[at], 'is', 'running ' .. int(token + at) .. of .. attempts[at] .. ' ' .. due_text .. rest)
    deadlines[2 * at - 1], deadlines[2 * at] = due_text, ids[at]
    hand_out(ids[at], token + at, attempts[at], kind_of[at], payloads[at], due)
  end
  call('ZADD', RUNNING, unpack(deadlines))
  for task, key in pairs(keys) do
    blocking.sure('HSET', blocking.limited, task, key)
    blocking.sure('SADD', PREFIX .. 'in_use:' .. key, task)
  end
  local held = PREFIX .. 'held:' .. id
  if not try('SADD', held, unpack(ids)) then
    call('DEL', held)
    call('SADD', held, unpack(ids))
  end
  local memory = nonce .. ' ' .. int(token + 1) .. ' ' .. table.concat(ids, ' ')
  local added = try('HSET', claimed, kinds, memory)
  if not added or (added == 1 and call('HLEN', claimed) > 64) then
    call('DEL', claimed)
  end
end
if count < limit and (not order[1] or parked > 0) then
  -- The caller waits for more: announce the next task of these kinds.
  if asked then
    call('DEL', ANNOUNCED)
  else
    try('SREM', ANNOUNCED, unpack(ARGV, ARGV.kinds.first))
  end
end
call_leader()
return { status, reply }
