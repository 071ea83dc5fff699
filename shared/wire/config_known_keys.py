"""Keys that are known and not supported yet, by section; the parameters that are LiteLLM's own business.

Collected from LiteLLM 1.106 (its router's parameters, its documentation of config.yaml) and from our own contract.
A key in neither list is taken for a slip of the pen.
"""

from typing import Final

from shared.wire.config_forebay import ForebaySection
from shared.wire.config_litellm import (
    AliasTarget,
    CacheParams,
    ConfigFile,
    GeneralSettings,
    LiteLLMParams,
    LiteLLMSettings,
    ModelInfo,
    RouterSettings,
)
from shared.wire.config_values import Section


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


PASSED_TO_LITELLM: Final = _names("""
    additional_drop_params allowed_openai_params api_version audio aws_access_key_id aws_bedrock_project_id
    aws_bedrock_runtime_endpoint aws_external_id aws_profile_name aws_region_name aws_role_name aws_secret_access_key
    aws_session_name aws_session_tags aws_session_token aws_sts_endpoint aws_web_identity_token azure_ad_token
    azure_password azure_scope azure_username client_id client_secret custom_llm_provider dimensions drop_params
    encoding_format extra_body extra_headers frequency_penalty headers hf_model_name logit_bias logprobs
    max_completion_tokens max_tokens merge_reasoning_content_in_choices modalities model_id n organization
    parallel_tool_calls presence_penalty project prompt_cache_key reasoning_effort response_format safety_settings seed
    service_tier ssl_verify stop store temperature tenant_id thinking tool_choice tools top_k top_logprobs top_p
    use_chat_completions_api user verbosity vertex_ai_credentials vertex_ai_location vertex_ai_project vertex_credentials vertex_location vertex_project
    watsonx_region_name
    """)
"""Parameters of a deployment that go to ``litellm.acompletion`` as they are."""

SHOWN: Final = _names("""
    allow_networks allowed_fails body_limit bulk cache cache_read_input_token_cost concurrency cooldown_time deferrable
    deferrable_idle_share deferrable_windows disable_cooldowns forebay_client grace id input_cost_per_token
    inline_limit interactive interactive_reserve itpm max_input_tokens max_jobs max_output_tokens max_parallel_requests mode model model_name
    num_retries on_limit order otpm output_cost_per_token request_timeout retention routing_strategy rpd rpm standard
    surplus_after timeout timezone tpd tpm ttl weight windows
    """)
"""Keys whose wrong value may be shown: where nobody would put a secret."""

_PRICES: Final = """
    cache_creation_input_token_cost cost_per_second input_cost_per_audio_token input_cost_per_character
    input_cost_per_pixel input_cost_per_second input_cost_per_token_above_128k_tokens
    input_cost_per_token_above_200k_tokens input_cost_per_token_batches output_cost_per_audio_token
    output_cost_per_character output_cost_per_pixel output_cost_per_reasoning_token output_cost_per_second
    output_cost_per_token_above_128k_tokens output_cost_per_token_above_200k_tokens output_cost_per_token_batches
    """

KNOWN: Final[dict[type[Section], frozenset[str]]] = {
    ConfigFile: _names("""
        assistant_settings callback_settings credential_list environment_variables files_settings finetune_settings
        guardrails include litellm_params mcp_servers pass_through_endpoints prompts search_tools vector_store_registry
        """),
    LiteLLMParams: _names(f"""
        allow_client_keepalive_override auto_router_config auto_router_config_path auto_router_default_model
        auto_router_embedding_model budget_duration bucket_name cache_control_injection_points
        complexity_router_config complexity_router_default_model configurable_clientside_auth_params
        default_api_key_rpm_limit default_api_key_tpm_limit fallbacks gcs_bucket_name guardrails
        keepalive_seconds litellm_credential_name max_budget max_file_size_mb max_retries mock_response model_info
        num_retries provider_affinity_header s3_bucket_name stream stream_timeout
        stream_timeout_by_service_tier tag_regex tags timeout_by_service_tier use_in_pass_through use_litellm_proxy {_PRICES}
        """),
    ModelInfo: _names(f"access_groups access_windows blocked team_id team_public_model_name version {_PRICES}"),
    AliasTarget: _names("hidden"),
    RouterSettings: _names("""
        alerting_config allowed_fails_policy assistants_config cache_kwargs cache_responses
        caching_groups client_ttl debug_level
        default_litellm_params default_max_parallel_requests default_priority
        deployment_affinity_ttl_seconds enable_health_check_routing enable_pre_call_checks
        enable_tag_filtering enable_weighted_failover guardrail_list health_check_ignore_transient_errors
        health_check_staleness_threshold ignore_invalid_deployments max_fallbacks max_retries
        model_group_affinity_config model_group_retry_policy optional_pre_call_checks plugins polling_interval
        provider_budget_config redis_db redis_host redis_password redis_port redis_url retry_after retry_policy
        router_general_settings routing_groups routing_strategy_args search_tools set_verbose stream_timeout
        tag_filtering_match_any tag_routing_prefix weights
        """),
    LiteLLMSettings: _names("""
        add_function_to_prompt callbacks custom_provider_map default_internal_user_params default_team_params
        default_team_settings disable_end_user_cost_tracking disable_hf_tokenizer_download drop_params
        enable_json_schema_validation enable_preview_features failure_callback force_ipv4 guardrails
        json_logs key_generation_settings langfuse_default_tags langfuse_host max_budget max_fallbacks modify_params
        public_model_groups redact_user_api_key_info s3_callback_params service_callback set_verbose
        success_callback telemetry turn_off_message_logging upperbound_key_generate_params
        """),
    CacheParams: _names("""
        allowed_call_types db default_in_memory_ttl default_in_redis_ttl disk_cache_dir flush_size gcs_bucket_name host
        password port qdrant_api_base qdrant_api_key qdrant_collection_name qdrant_quantization_config
        qdrant_semantic_cache_embedding_model redis_flush_size redis_semantic_cache_embedding_model
        redis_semantic_cache_use_async redis_startup_nodes s3_aws_access_key_id s3_aws_secret_access_key
        s3_bucket_name s3_endpoint_url s3_region_name service_name sentinel_nodes sentinel_password
        similarity_threshold ssl supported_call_types type url username
        """),
    GeneralSettings: _names("""
        admin_ui_disabled alert_to_webhook_url alert_types alerting alerting_args alerting_threshold
        allow_client_side_credentials allow_requests_on_db_unavailable allow_user_auth allowed_ips allowed_routes
        always_include_stream_usage auto_redirect_ui_login_to_sso background_health_checks completion_model
        custom_auth database_connection_pool_limit database_connection_timeout database_type database_url
        disable_adding_master_key_hash_to_db disable_error_logs disable_master_key_return disable_reset_budget
        disable_retry_on_max_parallel_request_limit_error disable_spend_logs enable_jwt_auth enable_oauth2_auth
        enforce_user_param enforced_params global_max_parallel_requests health_check_details health_check_interval
        infer_model_from_keys jwtauth key_management_settings key_management_system litellm_jwtauth
        litellm_key_header_name max_parallel_requests max_request_size_mb max_response_size_mb pass_through_endpoints
        proxy_batch_write_at proxy_budget_rescheduler_max_time proxy_budget_rescheduler_min_time public_routes
        role_permissions salt_key service_account_settings store_model_in_db store_prompts_in_spend_logs
        ui_access_mode use_azure_key_vault use_google_kms use_redis_transaction_buffer user_api_key_cache_ttl
        user_header_name
        """),
    ForebaySection: _names("alerts budgets cache routing warming"),
}
"""What each section may hold besides the fields of its model."""
