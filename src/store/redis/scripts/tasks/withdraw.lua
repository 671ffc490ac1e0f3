-- task_withdraw: undoes a claim that was given up without an answer, or that was made more than once.
--
-- ARGV: node id, incarnation, nonce of the claim, first token that the claimant was told of or '', then the claim's kinds, sorted
-- Returns: [how many tasks wait again]
-- Atomic, because the claim may arrive before or after this call: the tasks that it was given wait again, without counting the
-- attempt, and the mark refuses it from now on.
local id, incarnation, nonce, told = ARGV.node_id, ARGV.incarnation, ARGV.nonce, ARGV.returned
make_way()
load_meta()
guard_stall()
call('SET', withdrawn_key(nonce), '1', 'PX', WITHDRAWN_FOR)
local claimed, kinds = PREFIX .. 'claimed:' .. id, table.concat(ARGV, ' ', ARGV.kinds.first)
local last_nonce, last_token, last_ids = string.match(try('HGET', claimed, kinds) or '', '^(%S+) (%d+)(.*)$')
local back = {}
if last_nonce == nonce and last_token ~= told then
  local token = tonumber(last_token)
  for task in string.gmatch(last_ids, '%S+') do
    local what, is = read_task(task)
    if what and is.state == 'running' and is.token == int(token) and is.node == id and is.incarnation == incarnation then
      note_stop(task)
      is.attempts = int(math.max(0, tonumber(is.attempts) - 1))
      call('HSET', TASK .. task, 'is', is_text('waiting', is, 0, 'none'))
      make_ready(task, what)
      back[#back + 1] = task
    end
    token = token + 1
  end
  call('HDEL', claimed, kinds)
end
if #back > 0 then
  call('ZREM', RUNNING, unpack(back))
  try('SREM', PREFIX .. 'held:' .. id, unpack(back))
  settle_waiting()
end
return { #back }
