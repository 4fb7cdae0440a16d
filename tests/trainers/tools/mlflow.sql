BEGIN TRANSACTION;
CREATE TABLE "experiments" (
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	artifact_location VARCHAR(256), 
	lifecycle_stage VARCHAR(32), 
	creation_time BIGINT, 
	last_update_time BIGINT, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT experiment_pk PRIMARY KEY (experiment_id), 
	CONSTRAINT experiments_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	CONSTRAINT uq_experiments_workspace_name UNIQUE (workspace, name)
);
INSERT INTO "experiments" VALUES(0,'Default','/home/me/mlruns/0','active',1796008414541,1796008414541,'default');
INSERT INTO "experiments" VALUES(1,'digits','/home/me/mlruns/1','active',1796008414563,1796008414563,'default');
CREATE TABLE "latest_metrics" (
	"key" VARCHAR(250) NOT NULL, 
	value FLOAT NOT NULL, 
	timestamp BIGINT, 
	step BIGINT NOT NULL, 
	is_nan BOOLEAN NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT latest_metric_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), 
	CHECK (is_nan IN (0, 1))
);
INSERT INTO "latest_metrics" VALUES('val_acc',0.7268,1796008414780,2,0,'6e350eb497184f3aa1d000228d756c7a');
INSERT INTO "latest_metrics" VALUES('val_acc',0.7422,1796008414940,2,0,'11f53f5ac6b34ef2a3f5035680b6ab29');
INSERT INTO "latest_metrics" VALUES('val_acc',0.7982,1796008415192,2,0,'2aeff252549d4e07a3ca2807cdfc1b15');
INSERT INTO "latest_metrics" VALUES('val_acc',0.7903,1796008415350,2,0,'711046d2c4c641f9a46435920cd99e20');
INSERT INTO "latest_metrics" VALUES('val_acc',0.1,1796008415560,0,0,'226b0c8a00eb4962b6ecf10c91370058');
CREATE TABLE "metrics" (
	"key" VARCHAR(250) NOT NULL, 
	value FLOAT NOT NULL, 
	timestamp BIGINT NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	step BIGINT DEFAULT '0' NOT NULL, 
	is_nan BOOLEAN DEFAULT '0' NOT NULL, 
	CONSTRAINT metric_pk PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), 
	CHECK (is_nan IN (0, 1))
);
INSERT INTO "metrics" VALUES('val_acc',0.6186,1796008414726,'6e350eb497184f3aa1d000228d756c7a',0,0);
INSERT INTO "metrics" VALUES('val_acc',0.7211,1796008414749,'6e350eb497184f3aa1d000228d756c7a',1,0);
INSERT INTO "metrics" VALUES('val_acc',0.7268,1796008414780,'6e350eb497184f3aa1d000228d756c7a',2,0);
INSERT INTO "metrics" VALUES('val_acc',0.5862,1796008414894,'11f53f5ac6b34ef2a3f5035680b6ab29',0,0);
INSERT INTO "metrics" VALUES('val_acc',0.6803,1796008414916,'11f53f5ac6b34ef2a3f5035680b6ab29',1,0);
INSERT INTO "metrics" VALUES('val_acc',0.7422,1796008414940,'11f53f5ac6b34ef2a3f5035680b6ab29',2,0);
INSERT INTO "metrics" VALUES('val_acc',0.6721,1796008415134,'2aeff252549d4e07a3ca2807cdfc1b15',0,0);
INSERT INTO "metrics" VALUES('val_acc',0.7476,1796008415153,'2aeff252549d4e07a3ca2807cdfc1b15',1,0);
INSERT INTO "metrics" VALUES('val_acc',0.7982,1796008415192,'2aeff252549d4e07a3ca2807cdfc1b15',2,0);
INSERT INTO "metrics" VALUES('val_acc',0.6584,1796008415298,'711046d2c4c641f9a46435920cd99e20',0,0);
INSERT INTO "metrics" VALUES('val_acc',0.7788,1796008415332,'711046d2c4c641f9a46435920cd99e20',1,0);
INSERT INTO "metrics" VALUES('val_acc',0.7903,1796008415350,'711046d2c4c641f9a46435920cd99e20',2,0);
INSERT INTO "metrics" VALUES('val_acc',0.1,1796008415560,'226b0c8a00eb4962b6ecf10c91370058',0,0);
CREATE TABLE "params" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000) NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT param_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
INSERT INTO "params" VALUES('width','16','6e350eb497184f3aa1d000228d756c7a');
INSERT INTO "params" VALUES('seed','0','6e350eb497184f3aa1d000228d756c7a');
INSERT INTO "params" VALUES('width','16','11f53f5ac6b34ef2a3f5035680b6ab29');
INSERT INTO "params" VALUES('seed','1','11f53f5ac6b34ef2a3f5035680b6ab29');
INSERT INTO "params" VALUES('width','32','2aeff252549d4e07a3ca2807cdfc1b15');
INSERT INTO "params" VALUES('seed','0','2aeff252549d4e07a3ca2807cdfc1b15');
INSERT INTO "params" VALUES('width','32','711046d2c4c641f9a46435920cd99e20');
INSERT INTO "params" VALUES('seed','1','711046d2c4c641f9a46435920cd99e20');
CREATE TABLE "runs" (
	run_uuid VARCHAR(32) NOT NULL, 
	name VARCHAR(250), 
	source_type VARCHAR(20), 
	source_name VARCHAR(500), 
	entry_point_name VARCHAR(50), 
	user_id VARCHAR(256), 
	status VARCHAR(9), 
	start_time BIGINT, 
	end_time BIGINT, 
	source_version VARCHAR(50), 
	lifecycle_stage VARCHAR(20), 
	artifact_uri VARCHAR(200), 
	experiment_id INTEGER, deleted_time BIGINT, 
	CONSTRAINT run_pk PRIMARY KEY (run_uuid), 
	CONSTRAINT runs_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	CONSTRAINT source_type CHECK (source_type IN ('NOTEBOOK', 'JOB', 'LOCAL', 'UNKNOWN', 'PROJECT')), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id), 
	CHECK (status IN ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING', 'KILLED'))
);
INSERT INTO "runs" VALUES('6e350eb497184f3aa1d000228d756c7a','base-seed0','UNKNOWN','','','me','FINISHED',1796008414658,1796008414808,'','active','/home/me/mlruns/1/6e350eb497184f3aa1d000228d756c7a/artifacts',1,NULL);
INSERT INTO "runs" VALUES('11f53f5ac6b34ef2a3f5035680b6ab29','base-seed1','UNKNOWN','','','me','FINISHED',1796008414837,1796008414964,'','active','/home/me/mlruns/1/11f53f5ac6b34ef2a3f5035680b6ab29/artifacts',1,NULL);
INSERT INTO "runs" VALUES('2aeff252549d4e07a3ca2807cdfc1b15','wide-seed0','UNKNOWN','','','me','FINISHED',1796008415107,1796008415224,'','active','/home/me/mlruns/1/2aeff252549d4e07a3ca2807cdfc1b15/artifacts',1,NULL);
INSERT INTO "runs" VALUES('711046d2c4c641f9a46435920cd99e20','wide-seed1','UNKNOWN','','','me','FINISHED',1796008415253,1796008415384,'','active','/home/me/mlruns/1/711046d2c4c641f9a46435920cd99e20/artifacts',1,NULL);
INSERT INTO "runs" VALUES('226b0c8a00eb4962b6ecf10c91370058','broken','UNKNOWN','','','me','FAILED',1796008415537,1796008415581,'','active','/home/me/mlruns/1/226b0c8a00eb4962b6ecf10c91370058/artifacts',1,NULL);
CREATE TABLE "tags" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000), 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT tag_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);
CREATE INDEX index_latest_metrics_run_uuid ON latest_metrics (run_uuid);
CREATE INDEX index_params_run_uuid ON params (run_uuid);
CREATE INDEX index_tags_run_uuid ON tags (run_uuid);
CREATE INDEX idx_experiments_workspace ON experiments (workspace);
CREATE INDEX idx_experiments_workspace_creation_time ON experiments (workspace, creation_time);
CREATE INDEX index_metrics_run_uuid_key_step ON metrics (run_uuid, "key", step);
COMMIT;
