-- task_list: reads tasks without their contents, newest submission first. Changes nothing.
--
-- ARGV: state or '' (any), kind or '' (any), how many
-- Returns: [skew, [id, what, is, error or '', ready at by the server's clock or 0, after or '', limit or '', origin or '', ...]]
-- Atomic, because a task must not be seen in two states, or in none. It reads at most 5,000 tasks, from the end of each set, so that
-- a long list does not delay other calls; of a larger set it shows only those.
local state, kind, limit = ARGV.state, ARGV.kind, tonumber(ARGV.limit)
local budget, PAGE = 5000, 250
load_meta()
local found = {}

local function last_of(key, from, size)
  if key ~= DONE then
    return try('ZREVRANGE', key, from, from + size - 1) or {}
  end
  local entries, ids = call('LRANGE', DONE, -from - size, -from - 1), {}
  for at = #entries, 1, -1 do
    ids[#ids + 1] = string.match(entries[at], ' (.*)$') or ''
  end
  return ids
end

local function look(key)
  local from, matched = 0, 0
  while budget > 0 and matched < limit do
    local size = math.min(PAGE, budget)
    local ids = last_of(key, from, size)
    for _, id in ipairs(ids) do
      local texts = redis.pcall('HMGET', TASK .. id, 'what', 'is', 'error', 'after', 'limit', 'origin')
      local what, is = read_what(texts[1]), read_is(texts[2])
      if what and is and (state == '' or is.state == state or is.state == 'blocked' and state == 'waiting') and (kind == '' or what.kind == kind) and matched < limit then
        matched = matched + 1
        found[#found + 1] = { what.seq, id, texts[1], texts[2], texts[3] or '', scheduled_at(id, texts[2]), texts[4] or '', texts[5] or '',
          texts[6] or '' }
      end
    end
    from, budget = from + size, budget - #ids
    if #ids < size then
      return
    end
  end
end

for _, set in ipairs({ { 'running', RUNNING }, { 'dead', DEAD }, { 'failed', FAILED }, { 'delayed', DELAYED }, { 'done', DONE } }) do
  if state == '' or state == set[1] then
    look(set[2])
  end
end
if state == '' or state == 'waiting' then
  look(PREFIX .. 'blocked')
  local all = call('HGETALL', LANES)
  for at = 1, #all, 2 do
    if kind == '' or string.match(all[at], '^%S+') == kind then
      look(PREFIX .. 'lane:' .. all[at + 1])
    end
  end
end
table.sort(found, function(a, b)
  return a[1] > b[1]
end)
local reply = {}
for at = 1, math.min(limit, #found) do
  for part = 2, 9 do
    reply[#reply + 1] = found[at][part]
  end
end
return { int(meta.skew), reply }
