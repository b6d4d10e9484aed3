-- A small database at schema revision 0007, before the first release, for SQLite; PostgreSQL calls DOUBLE and the ids differently.
CREATE TABLE runs (
    id INTEGER NOT NULL, name TEXT NOT NULL, problem TEXT NOT NULL, state TEXT NOT NULL, sandbox TEXT NOT NULL,
    created DOUBLE NOT NULL, settings TEXT NOT NULL, specification TEXT NOT NULL, evaluator TEXT NOT NULL,
    CONSTRAINT runs_key PRIMARY KEY (id),
    CONSTRAINT runs_unique_name UNIQUE (name)
);
CREATE TABLE models (
    id INTEGER NOT NULL, name TEXT NOT NULL,
    CONSTRAINT models_key PRIMARY KEY (id),
    CONSTRAINT models_unique_name UNIQUE (name)
);
CREATE TABLE totals (
    run INTEGER NOT NULL, prompts INTEGER NOT NULL, samples INTEGER NOT NULL, tokens BIGINT NOT NULL,
    evaluated INTEGER NOT NULL, valid INTEGER NOT NULL, duplicates INTEGER NOT NULL,
    CONSTRAINT totals_key PRIMARY KEY (run),
    CONSTRAINT totals_to_runs_by_run FOREIGN KEY(run) REFERENCES runs (id)
);
CREATE TABLE prompts (
    run INTEGER NOT NULL, prompt INTEGER NOT NULL, island INTEGER NOT NULL, generation INTEGER NOT NULL,
    version INTEGER NOT NULL, after_evaluations INTEGER NOT NULL, parents TEXT NOT NULL, text TEXT NOT NULL,
    CONSTRAINT prompts_key PRIMARY KEY (run, prompt),
    CONSTRAINT prompts_to_runs_by_run FOREIGN KEY(run) REFERENCES runs (id)
);
CREATE TABLE samples (
    run INTEGER NOT NULL, prompt INTEGER NOT NULL, sample INTEGER NOT NULL, model INTEGER NOT NULL,
    finish_reason TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, tokens INTEGER NOT NULL, text TEXT NOT NULL,
    CONSTRAINT samples_key PRIMARY KEY (run, prompt, sample),
    CONSTRAINT samples_to_prompts_by_run_prompt FOREIGN KEY(run, prompt) REFERENCES prompts (run, prompt),
    CONSTRAINT samples_to_models_by_model FOREIGN KEY(model) REFERENCES models (id)
);
CREATE TABLE evaluations (
    run INTEGER NOT NULL, program INTEGER NOT NULL, prompt INTEGER NOT NULL, sample INTEGER NOT NULL,
    status TEXT NOT NULL, duplicate_of INTEGER, score DOUBLE, "key" TEXT NOT NULL, scores TEXT NOT NULL,
    seconds DOUBLE NOT NULL, sandbox TEXT NOT NULL, body TEXT, preamble TEXT, error TEXT NOT NULL,
    output TEXT NOT NULL, stage INTEGER DEFAULT 1 NOT NULL, feedback TEXT,
    CONSTRAINT evaluations_key PRIMARY KEY (run, program),
    CONSTRAINT evaluations_to_samples_by_run_prompt_sample
        FOREIGN KEY(run, prompt, sample)
        REFERENCES samples (run, prompt, sample)
);
CREATE TABLE heldout (
    run INTEGER NOT NULL, program INTEGER NOT NULL, status TEXT NOT NULL, scores TEXT NOT NULL, error TEXT NOT NULL,
    CONSTRAINT heldout_key PRIMARY KEY (run, program),
    CONSTRAINT heldout_to_evaluations_by_run_program FOREIGN KEY(run, program) REFERENCES evaluations (run, program)
);
CREATE TABLE resets (
    run INTEGER NOT NULL, reset INTEGER NOT NULL, after_evaluations INTEGER NOT NULL, islands TEXT NOT NULL,
    founders TEXT NOT NULL,
    CONSTRAINT resets_key PRIMARY KEY (run, reset),
    CONSTRAINT resets_to_runs_by_run FOREIGN KEY(run) REFERENCES runs (id)
);
CREATE TABLE snapshots (
    run INTEGER NOT NULL, evaluations INTEGER NOT NULL, at DOUBLE NOT NULL,
    seconds DOUBLE NOT NULL, samples INTEGER NOT NULL, evaluated INTEGER NOT NULL, valid INTEGER NOT NULL,
    duplicates INTEGER NOT NULL, best_score DOUBLE, asking INTEGER NOT NULL, evaluating INTEGER NOT NULL,
    statuses TEXT NOT NULL, usage TEXT NOT NULL, islands TEXT NOT NULL, samplers INTEGER DEFAULT '0' NOT NULL,
    evaluators INTEGER DEFAULT '0' NOT NULL,
    CONSTRAINT snapshots_key PRIMARY KEY (run, evaluations),
    CONSTRAINT snapshots_to_runs_by_run FOREIGN KEY(run) REFERENCES runs (id)
);
CREATE TABLE trainings (
    id INTEGER NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, created DOUBLE NOT NULL,
    tasks TEXT NOT NULL, model TEXT NOT NULL, settings TEXT NOT NULL,
    CONSTRAINT trainings_key PRIMARY KEY (id),
    CONSTRAINT trainings_unique_name UNIQUE (name)
);
CREATE TABLE training_tasks (
    training INTEGER NOT NULL, task INTEGER NOT NULL, split TEXT NOT NULL, family TEXT NOT NULL,
    "key" TEXT NOT NULL, prompt TEXT NOT NULL, reference TEXT NOT NULL,
    CONSTRAINT training_tasks_key PRIMARY KEY (training, task),
    CONSTRAINT training_tasks_to_trainings_by_training FOREIGN KEY(training) REFERENCES trainings (id)
);
CREATE TABLE policies (
    training INTEGER NOT NULL, round INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, base TEXT NOT NULL,
    folder TEXT NOT NULL, figures TEXT NOT NULL,
    CONSTRAINT policies_key PRIMARY KEY (training, round),
    CONSTRAINT policies_to_trainings_by_training FOREIGN KEY(training) REFERENCES trainings (id)
);
CREATE TABLE answers (
    training INTEGER NOT NULL, round INTEGER NOT NULL, phase TEXT NOT NULL, task INTEGER NOT NULL,
    answer INTEGER NOT NULL, policy INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, tokens INTEGER NOT NULL,
    finish_reason TEXT NOT NULL, ending TEXT NOT NULL, text TEXT NOT NULL,
    CONSTRAINT answers_key PRIMARY KEY (training, round, phase, task, answer),
    CONSTRAINT answers_to_training_tasks_by_training_task
        FOREIGN KEY(training, task)
        REFERENCES training_tasks (training, task),
    CONSTRAINT answers_to_models_by_policy FOREIGN KEY(policy) REFERENCES models (id)
);
CREATE TABLE grades (
    training INTEGER NOT NULL, round INTEGER NOT NULL, phase TEXT NOT NULL, task INTEGER NOT NULL,
    answer INTEGER NOT NULL, reward DOUBLE NOT NULL, seconds DOUBLE NOT NULL,
    keys TEXT NOT NULL, value TEXT NOT NULL, error TEXT NOT NULL,
    CONSTRAINT grades_key PRIMARY KEY (training, round, phase, task, answer),
    CONSTRAINT grades_to_answers_by_training_round_phase_task_answer
        FOREIGN KEY(training, round, phase, task, answer)
        REFERENCES answers (training, round, phase, task, answer)
);
CREATE TABLE selections (
    training INTEGER NOT NULL, round INTEGER NOT NULL, task INTEGER NOT NULL, answer INTEGER NOT NULL,
    rejected INTEGER,
    CONSTRAINT selections_key PRIMARY KEY (training, round, task, answer),
    CONSTRAINT selections_to_trainings_by_training FOREIGN KEY(training) REFERENCES trainings (id)
);
CREATE TABLE rounds (
    training INTEGER NOT NULL, round INTEGER NOT NULL, samples INTEGER NOT NULL, correct INTEGER NOT NULL,
    selected INTEGER NOT NULL, published BOOLEAN NOT NULL, stop TEXT NOT NULL, policy TEXT NOT NULL,
    reason TEXT NOT NULL, figures TEXT NOT NULL, gain TEXT,
    CONSTRAINT rounds_key PRIMARY KEY (training, round),
    CONSTRAINT rounds_to_policies_by_training_round FOREIGN KEY(training, round) REFERENCES policies (training, round)
);
CREATE TABLE funsearch_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT funsearch_version_pkc PRIMARY KEY (version_num)
);
CREATE UNIQUE INDEX evaluations_by_run_prompt_sample ON evaluations (run, prompt, sample);
CREATE INDEX evaluations_by_run_score_program ON evaluations (run, score DESC, program) WHERE score IS NOT NULL AND duplicate_of IS NULL;
INSERT INTO runs VALUES (1,'done','p','samples','L2',1.5,'{"seed":7,"train":{"tasks":{"held":100,"config":{"held":1}},"gate":{"pass_one":"sampled"},"trainer":{"accumulate":2},"every":null},"inputs":[]}','import funsearch','');
INSERT INTO runs VALUES (2,'dry','p','exhausted','L2',1.5,'{"inputs":[]}','import funsearch','');
INSERT INTO runs VALUES (3,'stopped','p','interrupted','L2',1.5,'{"inputs":[]}','import funsearch','');
INSERT INTO runs VALUES (4,'broken','p','failed','L2',1.5,'{"inputs":[]}','import funsearch','');
INSERT INTO runs VALUES (5,'killed','p','running','L2',1.5,'{"inputs":[]}','import funsearch','');
INSERT INTO models VALUES (1,'model');
INSERT INTO models VALUES (2,'specification');
INSERT INTO totals VALUES (1,1,1,5,1,1,0);
INSERT INTO totals VALUES (2,0,0,0,0,0,0);
INSERT INTO totals VALUES (3,0,0,0,0,0,0);
INSERT INTO totals VALUES (4,0,0,0,0,0,0);
INSERT INTO totals VALUES (5,0,0,0,0,0,0);
INSERT INTO prompts VALUES (1,-1,-1,0,0,0,'[]','');
INSERT INTO prompts VALUES (1,0,1,3,1,1,'[0]','def f_v0():');
INSERT INTO samples VALUES (1,-1,0,2,'stop',0,0,'    return 0');
INSERT INTO samples VALUES (1,0,0,1,'stop',7,5,'    return 1');
INSERT INTO evaluations VALUES (1,0,-1,0,'OK',NULL,1.0,'k0','{"a":1.0}',0.5,'L2','    return 0','','','',1,NULL);
INSERT INTO evaluations VALUES (1,1,0,0,'OK',NULL,2.0,'k1','{"a":2.0}',0.5,'L2','    return 1','','','',1,NULL);
INSERT INTO heldout VALUES (1,1,'OK','{"h":0.5}','');
INSERT INTO resets VALUES (1,0,2,'[0]','[1]');
INSERT INTO snapshots VALUES (1,2,9.0,1.5,1,1,1,0,2.0,0,0,'{"OK":1}','{"model":{"samples":1,"prompt_tokens":7,"tokens":5}}','[{"programs":1,"clusters":1,"generation":3,"best_score":2.0},{"programs":0,"clusters":0,"generation":0,"best_score":null}]',0,0);
INSERT INTO trainings VALUES (1,'full','rounds',2.5,'exact:sums.jsonl','models/tiny','{"seed":3,"tasks":{"held":200},"gate":{"pass_one":"greedy"},"trainer":{"accumulate":1,"rank":8}}');
INSERT INTO trainings VALUES (2,'gated','no gain',2.5,'exact:sums.jsonl','models/tiny','{}');
INSERT INTO trainings VALUES (3,'halted','interrupted',2.5,'exact:sums.jsonl','models/tiny','{}');
INSERT INTO training_tasks VALUES (1,0,'train','sums','a/1','1+1=','{"answer":"2"}');
INSERT INTO training_tasks VALUES (1,1,'held','sums','a/2','1+2=','{"answer":"3"}');
INSERT INTO policies VALUES (1,0,'base','full@0','models/tiny','','{}');
INSERT INTO rounds VALUES (1,0,0,0,0,TRUE,'','full@0','the base model','{"held":{"greedy":{"value":0.5,"error":0.25,"tasks":2},"sampled":{"value":0.5,"error":0.25,"tasks":2},"pass_k":{"value":0.5,"error":0.25,"tasks":2},"majority_k":{"value":0.5,"error":0.25,"tasks":2},"k":4},"train":{"greedy":{"value":0.5,"error":0.25,"tasks":2},"sampled":{"value":0.5,"error":0.25,"tasks":2},"pass_k":{"value":0.5,"error":0.25,"tasks":2},"majority_k":{"value":0.5,"error":0.25,"tasks":2},"k":4}}',NULL);
INSERT INTO funsearch_version VALUES ('0007');
