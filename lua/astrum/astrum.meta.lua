---@meta astrum.core
-- Types for the Lua language server that code cannot say: references, task in its forms, and the
-- functions of the C module. Never loaded by the library.

---A field of a task's result, or all of it. It has a value only inside a body, as an input.
---@class astrum.Reference
---@field [string|integer] astrum.Reference

---What `task` returns: a reference to the whole result of the task.
---@class astrum.Task: astrum.Reference

---The root of references: F.task.field[1], F("task", "field", 1), F "task.field[1]" are equal. A
---handle may stand in place of the name.
---@class astrum.F
---@field [string] astrum.Reference
---@overload fun(task: string|astrum.Task, ...: string|integer): astrum.Reference

---@alias astrum.Type
---| "integer" | "number" | "string" | "boolean" | "table" | "list" | "function" | "any"
---| "integer?" | "number?" | "string?" | "boolean?" | "table?" | "list?" | "function?" | "any?"
---| fun(value: any): boolean, string?

---@alias astrum.Trigger
---| "all_success" all tasks upstream completed: the default
---| "all_done" all are over, whatever became of them; runs also when the run stops
---| "all_failed" all failed
---| "one_success" one completed; waits for no other
---| "one_failed" one failed; waits for no other
---| "none_failed" all completed or were skipped
---| "none_failed_min_one_success" the same, and one completed
---| "always" waits for nothing; runs also when the run stops

---How often and when a failed attempt is followed by another.
---@class astrum.RetryOptions
---@field max? integer further attempts after the first, 3 by default
---@field delay? number seconds before the first retry, 0.5 by default
---@field backoff? number factor from one wait to the next, 1 or more, 2.0 by default
---@field max_delay? number longest wait in seconds, 128 by default
---@field jitter? boolean wait a random part of the delay, true by default
---@field on? fun(err: any): boolean false: this error is not retried

---What a task is made of: `run` or `workflow`, and options. Times are seconds.
---@class astrum.TaskSpec
---@field run? function the body: a Lua or C function
---@field workflow? astrum.Registry in place of run: a run of these tasks; inputs are its params
---@field inputs? table<string, any>|any[] values by parameter, or a list in their order
---@field outputs? astrum.T[] fields of the result that go to other tasks
---@field depends_on? (string|astrum.Task)[] tasks to wait for without data
---@field retry? integer|astrum.RetryOptions a number: that many retries at once; 0 by default
---@field timeout? number longest time of each attempt
---@field idle_timeout? number longest time without ctx.progress
---@field when? fun(...: any): boolean false: the task is skipped; its parameters are inputs
---@field trigger? astrum.Trigger
---@field map? table<string, any> lists by parameter: one instance for each element
---@field max_items? integer longest list of a map
---@field max_concurrency? integer items of a map at once
---@field on_item_failure? "fail"|"collect"|"skip" "fail" by default
---@field pool? string takes one unit of this pool
---@field pools? table<string, integer> units by pool, all or none
---@field priority? integer larger goes first, 0 by default
---@field executor? "loop"|"thread"|"process" "loop" by default
---@field cancel_grace? number between TERM and KILL, 5 by default
---@field around? fun(ctx: astrum.Context, run: function): any wraps the body
---@field sensitive? boolean true: the result is never shown
---@field namespace? string where to declare it, the active namespace by default
---@field description? string
---@field detached? boolean true: the run does not wait for it

---@class astrum.BuildOptions
---@field namespace? string the active one by default
---@field target_tasks? (string|astrum.Task)[] run these and all they need; all tasks by default
---@field config? astrum.Config|table
---@field params? table<string, any> values of params
---@field [integer] string|astrum.Task targets

---What a body knows of its attempt: the parameter `ctx`.
---@class astrum.Context
---@field task string
---@field item? integer of a map, from 1
---@field namespace string
---@field attempt integer from 1
---@field run_id string a text that no other run has
---@field idempotency_key string run_id/task, run_id/task[item]: the same in every attempt
---@field deadline? number when the attempt must be over, in seconds since 1970; nil: no bound
---@field params table<string, any> the run's, with defaults
---@field cancelled fun(): boolean whether the attempt was asked to stop
---@field log fun(...: any) writes a line to stderr
---@field progress fun(fraction: number, text?: string) is shown by the status of the run's handle

---What `spawn` runs.
---@class astrum.SpawnOptions
---@field [integer] string the command, looked up in PATH, and its arguments
---@field cwd? string
---@field env? table<string, string|false> variables to change; false removes one
---@field stdin? string empty by default
---@field stdout? "capture"|"inherit"|"null" "capture" by default
---@field stderr? "capture"|"inherit"|"null" "capture" by default

---What became of a child process.
---@class astrum.SpawnResult
---@field code? integer exit code, nil when a signal ended it
---@field signal? integer
---@field stdout string
---@field stderr string

---@class astrum.TaskFunction
---@overload fun(name: string): fun(spec: astrum.TaskSpec|function): astrum.Task
---@overload fun(name: string, spec: astrum.TaskSpec|function): astrum.Task

---@class astrum
---@field F astrum.F
---@field task astrum.TaskFunction
---@field VERSION string

local core = {}

---@type astrum.F
core.F = nil

---Waits at least so long. 0 lets other tasks run. Raises for what is no time, and where nobody can
---wait: in a coroutine of the user's own, in a table.sort comparison and the like.
---@async
---@param seconds number from 0; math.huge waits until it is cancelled
function core.sleep(seconds) end

---Turns a callback into a wait. `start` is called with the function `done`, and may return a
---cleanup, which is called once if the wait is cancelled. A second `done` is ignored. Raises what
---`start` raises, and where nobody can wait.
---@async
---@param start fun(done: fun(...: any)): function?
---@return any ... what the first `done` was given
function core.await(start) end

---Runs functions side by side and waits for all of them. The first error cancels the others and is
---raised. Raises where nobody can wait.
---@async
---@param functions function[]
---@return { n: integer, [integer]: any } results in the order of the functions
function core.all(functions) end

---Runs a child process and waits for its end. An exit code that is not 0 is no error; a command
---that cannot be started is, and so is a wrong option. When the wait is cancelled the whole process
---group is ended.
---@async
---@param options astrum.SpawnOptions
---@return astrum.SpawnResult
function core.spawn(options) end

---What the running body knows of its attempt; nil outside of tasks.
---@return astrum.Context?
function core.context() end

---Makes timeouts stop Lua code that never waits, too. In astrum-lua they always do. Other programs
---have to ask for it, once, because it installs a handler for a real-time signal, until the Lua
---state is closed, and replaces coroutine.resume, coroutine.wrap and coroutine.close. Call it
---before code keeps those in locals of its own.
---@return boolean? enabled true; nil when the system has no timer for it
---@return string? message why not
function core.enable_preemption() end

return core
