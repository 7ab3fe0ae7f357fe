#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/sweep_text.h"

// A table of what users get wrong: the text and the whole error, which names file, place, value and
// mend.

namespace assay::spec {
namespace {

using namespace std::string_view_literals;

struct Malformed {
  const char* name;
  bool whole;  // the text is the whole file; else it follows assay::testing::kModels (6 lines)
  std::string_view text;
  const char* error;
};

const std::vector<Malformed> kMalformed{
    {"unknown_top_level_key", false,
     "trails:\n"
     "  - {model: vit, method: float}\n"sv,
     "sweep.yaml:7:1: unknown key 'trails' in the sweep; did you mean 'trials'?"},
    {"missing_version", true,
     "name: x\n"
     "models: {}\n"sv,
     "sweep.yaml:1:1: the sweep lacks its format version; start it with 'assay: 1'"},
    {"wrong_version", true, "assay: 2\n"sv,
     "sweep.yaml:1:8: format version '2'; this Assay reads version 1 ('assay: 1')"},
    {"no_models", true,
     "assay: 1\n"
     "trials: []\n"sv,
     "sweep.yaml:1:1: the sweep lacks the key 'models'"},
    {"no_trials", false, ""sv, "sweep.yaml:1:1: the sweep has neither 'trials' nor 'ablate'"},
    {"empty_file", true, ""sv, "sweep.yaml:1:1: the file is empty; a sweep starts with 'assay: 1'"},
    {"only_a_comment", true, "# nothing\n"sv,
     "sweep.yaml:1:1: the file is empty; a sweep starts with 'assay: 1'"},
    {"a_list_as_sweep", true,
     "- 1\n"
     "- 2\n"sv,
     "sweep.yaml:1:1: a sweep file is a map (key: value), not a list"},
    {"a_scalar_as_sweep", true, "hello\n"sv,
     "sweep.yaml:1:1: a sweep file is a map (key: value), not 'hello'"},
    {"tab_indentation", true,
     "assay: 1\n"
     "models:\n"
     "	x: 1\n"sv,
     "sweep.yaml:3:3: not valid YAML: illegal map value; the line is indented with a "
     "tab, write spaces"},
    {"unclosed_bracket", true,
     "assay: 1\n"
     "models: [a, b\n"sv,
     "sweep.yaml:3:1: not valid YAML: end of sequence flow not found"},
    {"unclosed_quote", true,
     "assay: 1\n"
     "name: \"abc\n"sv,
     "sweep.yaml:2:7: a quote that is never closed"},
    {"duplicate_key", false,
     "run: {slots: 1, slots: 2}\n"
     "trials: []\n"sv,
     "sweep.yaml:7:17: key 'slots' stands twice in this map"},
    {"duplicate_top_level_key", false,
     "name: a\n"
     "name: b\n"sv,
     "sweep.yaml:8:1: key 'name' stands twice in this map"},
    {"nul_byte", true,
     "assay: 1\n"
     "name: a\0b\n"sv,
     "sweep.yaml:2:8: byte 0x00 is not text: sweep files are UTF-8 without NUL bytes"},
    {"not_utf8", true,
     "assay: 1\n"
     "name: \xff\xfe\n"sv,
     "sweep.yaml:2:7: byte 0xff is not text: sweep files are UTF-8 without NUL bytes"},
    {"overlong_utf8", true,
     "assay: 1\n"
     "name: \xc0\xaf\n"sv,
     "sweep.yaml:2:7: byte 0xc0 is not text: sweep files are UTF-8 without NUL bytes"},
    {"second_document", true,
     "assay: 1\n"
     "---\n"
     "assay: 1\n"sv,
     "sweep.yaml:3:1: a second document; a sweep file holds one"},
    {"list_as_key", true,
     "assay: 1\n"
     "? [a, b]\n"
     ": c\n"sv,
     "sweep.yaml:2:3: a key must be a text, not a list or a map; or a bracket is never closed"},
    {"empty_key", true,
     "assay: 1\n"
     ": c\n"sv,
     "sweep.yaml:2:1: an empty key"},
    {"foreign_tag", true,
     "assay: 1\n"
     "name: !!python/object:os.system x\n"sv,
     "sweep.yaml:2:7: tag 'tag:yaml.org,2002:python/object:os.system' is not used in "
     "sweep files; remove it"},
    {"undefined_alias", true,
     "assay: 1\n"
     "name: *nobody\n"sv,
     "sweep.yaml:2:7: not valid YAML: the referenced anchor is not defined"},
    {"alias_of_itself", true,
     "assay: 1\n"
     "name: &a [*a]\n"sv,
     "sweep.yaml:2:11: an alias inside its own anchor"},
    {"merged_key_that_nobody_reads", true,
     "assay: 1\n"
     "<<: {a: 1}\n"sv,
     "sweep.yaml:2:6: unknown key 'a' in the sweep; legal: ablate, anchors, assay, dat"
     "a, evaluate, include, models, name, providers, run, trials"},
    {"bad_name", false,
     "name: ../up\n"
     "trials: []\n"sv,
     "sweep.yaml:7:7: name '../up' names the run folder: 1 to 100 letters, digits and"
     " . _ -, not starting with . or -"},
    {"unknown_family", true,
     "assay: 1\n"
     "models: {a: {family: vitt, weights: w}}\n"sv,
     "sweep.yaml:2:22: unknown model family 'vitt'; did you mean 'vit'?"},
    {"unknown_model_key", true,
     "assay: 1\n"
     "models: {a: {family: vit, wieghts: w}}\n"sv,
     "sweep.yaml:2:27: unknown key 'wieghts' in model 'a'; did you mean 'weights'?"},
    {"model_without_weights_or_config", true,
     "assay: 1\n"
     "models: {a: {family: vit}}\n"sv,
     "sweep.yaml:2:10: model 'a' needs either 'weights' (a checkpoint) or 'config' (a"
     " network without weights)"},
    {"model_with_both", true,
     "assay: 1\n"
     "models: {a: {family: resnet, weights: w, config: {classes: 2}}}\n"sv,
     "sweep.yaml:2:10: model 'a' needs either 'weights' (a checkpoint) or 'config' (a"
     " network without weights), not both"},
    {"model_lacks_family", true,
     "assay: 1\n"
     "models: {a: {weights: w}}\n"sv,
     "sweep.yaml:2:13: model 'a' lacks the key 'family'"},
    {"model_is_text", true,
     "assay: 1\n"
     "models: {a: vit}\n"sv,
     "sweep.yaml:2:13: model 'a' must be a map (key: value), not 'vit'"},
    {"model_name_with_space", true,
     "assay: 1\n"
     "models: {\"a b\": {family: vit, weights: w}}\n"sv,
     "sweep.yaml:2:10: model 'a b': a name has 1 to 100 letters, digits and . _ - + /"},
    {"config_lacks_a_value", true,
     "assay: 1\n"
     "models: {a: {family: resnet, config: {depth: 3}}}\n"sv,
     "sweep.yaml:2:38: config of model 'a' needs parameter 'classes': Number of class"
     "es."},
    {"config_of_wrong_type", true,
     "assay: 1\n"
     "models: {a: {family: resnet, config: {classes: many}}}\n"sv,
     "sweep.yaml:2:48: parameter 'classes' = \"many\": expected an integer of at leas"
     "t 1"},
    {"config_unknown_key", true,
     "assay: 1\n"
     "models: {a: {family: resnet, config: {clases: 2}}}\n"sv,
     "sweep.yaml:2:39: unknown key 'clases' in config of model 'a'; did you mean 'cla"
     "sses'?"},
    {"model_names_unknown_data", true,
     "assay: 1\n"
     "data: {fashion: {reader: fashion_mnist}}\n"
     "models: {a: {family: vit, weights: w, data: fashoin}}\n"sv,
     "sweep.yaml:3:45: unknown data set 'fashoin'; did you mean 'fashion'?"},
    {"model_data_of_other_task", true,
     "assay: 1\n"
     "data: {t: {reader: text, test: x}}\n"
     "models: {a: {family: vit, weights: w, data: t}}\n"sv,
     "sweep.yaml:3:45: data 't' is for language, model 'a' is for classification"},
    {"unknown_reader", true,
     "assay: 1\n"
     "data: {a: {reader: fashion-mnist}}\n"
     "models: {}\n"sv,
     "sweep.yaml:2:20: unknown reader 'fashion-mnist'; did you mean 'fashion_mnist'?"},
    {"data_lacks_reader", true,
     "assay: 1\n"
     "data: {a: {root: /x}}\n"
     "models: {}\n"sv,
     "sweep.yaml:2:11: data 'a' lacks the key 'reader'"},
    {"reader_parameter_out_of_choice", true,
     "assay: 1\n"
     "data: {a: {reader: text, test: x, join: line}}\n"
     "models: {}\n"sv,
     "sweep.yaml:2:41: parameter 'join' = \"line\": expected one of file, lines; did "
     "you mean 'lines'?"},
    {"split_of_a_reader_with_files", true,
     "assay: 1\n"
     "data: {a: {reader: fashion_mnist, test: x}}\n"
     "models: {}\n"sv,
     "sweep.yaml:2:35: reader 'fashion_mnist' knows the files of split 'test'; 'root'"
     " names another folder for them"},
    {"split_lacks_a_role", true,
     "assay: 1\n"
     "data: {a: {reader: idx, test: {images: x}}}\n"
     "models: {}\n"sv,
     "sweep.yaml:2:31: split 'test' of data 'a' lacks the key 'labels'"},
    {"split_with_unknown_role", true,
     "assay: 1\n"
     "data: {a: {reader: idx, test: {images: x, labels: y, masks: z}}}\n"
     "models: {}\n"sv,
     "sweep.yaml:2:54: unknown key 'masks' in split 'test' of data 'a'; legal: images"
     ", labels"},
    {"split_without_roles", true,
     "assay: 1\n"
     "data: {a: {reader: idx, test: x}}\n"
     "models: {}\n"sv,
     "sweep.yaml:2:31: split 'test' of data 'a' must name files by role: {images: pat"
     "h, labels: path}"},
    {"split_with_roles_where_a_list_is_meant", true,
     "assay: 1\n"
     "data: {a: {reader: text, test: {images: x}}}\n"
     "models: {}\n"sv,
     "sweep.yaml:2:32: split 'test' of data 'a' must be a path or a list of paths, no"
     "t a map"},
    {"root_where_there_is_none", true,
     "assay: 1\n"
     "data: {a: {reader: text, root: x, test: y}}\n"
     "models: {}\n"sv,
     "sweep.yaml:2:32: reader 'text' has no root; name the files of each split"},
    {"trials_is_a_map", false, "trials: {model: vit, method: float}\n"sv,
     "sweep.yaml:7:9: trials must be a list of blocks, each starting with '- ', not a"
     " map"},
    {"block_is_text", false, "trials: [float]\n"sv,
     "sweep.yaml:7:10: trials[0] must be a map (key: value), not 'float'"},
    {"block_lacks_model", false,
     "trials:\n"
     "  - {method: float}\n"sv,
     "sweep.yaml:8:5: trials[0] lacks the key 'model'"},
    {"block_lacks_method", false,
     "trials:\n"
     "  - {model: vit}\n"sv,
     "sweep.yaml:8:5: trials[0] lacks the key 'method'"},
    {"unknown_model", false,
     "trials:\n"
     "  - {model: vitt, method: float}\n"sv,
     "sweep.yaml:8:13: unknown model 'vitt'; did you mean 'vit'?"},
    {"unknown_method", false,
     "trials:\n"
     "  - {model: vit, method: psaq-vit, bits: W4A8}\n"sv,
     "sweep.yaml:8:26: unknown method 'psaq-vit'; did you mean 'psaq_vit'?"},
    {"unknown_method_in_composition", false,
     "trials:\n"
     "  - {model: opt, method: smoothquant + gtpq, bits: W4A8}\n"sv,
     "sweep.yaml:8:26: unknown method 'gtpq'; did you mean 'gptq'?"},
    {"composition_lacks_a_name", false,
     "trials:\n"
     "  - {model: opt, method: gptq + , bits: W4A8}\n"sv,
     "sweep.yaml:8:26: method 'gptq +' lacks a name beside '+'"},
    {"method_of_other_family", false,
     "trials:\n"
     "  - model: [vit, opt]\n"
     "    method: gptq\n"
     "    bits: W4A16\n"sv,
     "sweep.yaml:9:13: method 'gptq' is for opt, model 'vit' is of family vit; exclud"
     "e the pair (exclude: {where: ...}), put it into another block, or write 'run: {impossible: "
     "skip}'"},
    {"unknown_block_key", false,
     "trials:\n"
     "  - {model: vit, method: rtn, bit: W4A8}\n"sv,
     "sweep.yaml:8:31: unknown key 'bit' in trials[0]; did you mean 'bits'?"},
    {"parameters_of_unused_method", false,
     "trials:\n"
     "  - model: vit\n"
     "    method: rtn\n"
     "    bits: W4A8\n"
     "    psaq_vit: {images: 8}\n"sv,
     "sweep.yaml:11:5: parameters of method 'psaq_vit', which trials[0] never uses; a"
     "dd it to 'method' or remove them"},
    {"parameter_of_unused_method_as_axis", false,
     "trials:\n"
     "  - {model: vit, method: rtn, bits: W4A8, images: [8, 16]}\n"sv,
     "sweep.yaml:8:43: unknown key 'images' in trials[0]; legal: bits, calibration_da"
     "ta, calibration_seed, exclude, method, model, range, rtn, rtn.range, seed, zip"},
    {"unknown_parameter", false,
     "trials:\n"
     "  - model: vit\n"
     "    method: psaq_vit\n"
     "    bits: W4A8\n"
     "    psaq_vit: {imags: 8}\n"sv,
     "sweep.yaml:11:16: unknown key 'imags' in parameters of method 'psaq_vit'; did y"
     "ou mean 'images'?"},
    {"parameter_of_wrong_type", false,
     "trials:\n"
     "  - model: vit\n"
     "    method: psaq_vit\n"
     "    bits: W4A8\n"
     "    psaq_vit: {images: [8, many]}\n"sv,
     "sweep.yaml:11:28: parameter 'images' = \"many\": expected an integer of at leas"
     "t 1"},
    {"parameter_below_its_range", false,
     "trials:\n"
     "  - model: vit\n"
     "    method: psaq_vit\n"
     "    bits: W4A8\n"
     "    psaq_vit: {images: 0}\n"sv,
     "sweep.yaml:11:24: parameter 'images' = 0: expected an integer of at least 1"},
    {"parameter_given_twice", false,
     "trials:\n"
     "  - model: vit\n"
     "    method: psaq_vit\n"
     "    bits: W4A8\n"
     "    images: [1, 2]\n"
     "    psaq_vit: {images: 8}\n"sv,
     "sweep.yaml:12:16: parameter 'images' of psaq_vit is given twice, first at sweep"
     ".yaml:11:5"},
    {"parameter_out_of_choice", false,
     "trials:\n"
     "  - {model: vit, method: {rtn: {range: min_max}}, bits: W4A8}\n"sv,
     "sweep.yaml:8:40: parameter 'range' = \"min_max\": expected one of minmax, perce"
     "ntile, mse; did you mean 'minmax'?"},
    {"unknown_parameter_in_mapping_form", false,
     "trials:\n"
     "  - {model: opt, method: {\"smoothquant + gptq\": {grup: 3}}, bits: W4A8}\n"sv,
     "sweep.yaml:8:50: unknown key 'grup' in parameters of method 'smoothquant + gptq"
     "'; did you mean 'group'?"},
    {"empty_parameter_list", false,
     "trials:\n"
     "  - {model: vit, method: psaq_vit, bits: W4A8, images: []}\n"sv,
     "sweep.yaml:8:56: 'images' has an empty list of values"},
    {"malformed_bits", false,
     "trials:\n"
     "  - {model: vit, method: rtn, bits: [W4A8, 4]}\n"sv,
     "sweep.yaml:8:44: bits must be like W4A8 (weights and activations, 1 to 16, 16: "
     "float) or W4A8KV4 (keys and values of attention too), not '4'"},
    {"bits_out_of_range", false,
     "trials:\n"
     "  - {model: vit, method: rtn, bits: W17A8}\n"sv,
     "sweep.yaml:8:37: bits must be like W4A8 (weights and activations, 1 to 16, 16: "
     "float) or W4A8KV4 (keys and values of attention too), not 'W17A8'"},
    {"zero_bits", false,
     "trials:\n"
     "  - {model: vit, method: rtn, bits: W0A8}\n"sv,
     "sweep.yaml:8:37: bits must be like W4A8 (weights and activations, 1 to 16, 16: "
     "float) or W4A8KV4 (keys and values of attention too), not 'W0A8'"},
    {"bits_of_keys_out_of_range", false,
     "trials:\n"
     "  - {model: vit, method: rtn, bits: W4A8KV17}\n"sv,
     "sweep.yaml:8:37: bits must be like W4A8 (weights and activations, 1 to 16, 16: "
     "float) or W4A8KV4 (keys and values of attention too), not 'W4A8KV17'"},
    {"bits_of_keys_without_a_number", false,
     "trials:\n"
     "  - {model: vit, method: rtn, bits: W4A8KV}\n"sv,
     "sweep.yaml:8:37: bits must be like W4A8 (weights and activations, 1 to 16, 16: "
     "float) or W4A8KV4 (keys and values of attention too), not 'W4A8KV'"},
    {"bits_of_keys_that_nobody_rounds", false,
     "trials:\n"
     "  - {model: opt, method: gptq, bits: W4A16KV4}\n"sv,
     "sweep.yaml:8:26: bits W4A16KV4: no method of 'gptq' rounds the keys and values of attention; "
     "add one that does, such as rtn, or write W4A16"},
    {"bits_missing", false,
     "trials:\n"
     "  - {model: vit, method: rtn}\n"sv,
     "sweep.yaml:8:26: method 'rtn' reads bits; give the block 'bits: [W4A8]'"},
    {"negative_seed", false,
     "trials:\n"
     "  - {model: vit, method: float, seed: -1}\n"sv,
     "sweep.yaml:8:39: seed must be an integer from 0 to 9007199254740992, not '-1'"},
    {"seed_beyond_exact_integers", false,
     "trials:\n"
     "  - {model: vit, method: float, seed: 9007199254740993}\n"sv,
     "sweep.yaml:8:39: seed must be an integer from 0 to 9007199254740992, not '90071"
     "99254740993'"},
    {"seed_that_begins_with_zero", false,
     "trials:\n"
     "  - {model: vit, method: psaq_vit, bits: W4A8, seed: 010}\n"sv,
     "sweep.yaml:8:54: '010' begins with 0, which is octal to some readers of YAML and decimal to "
     "others; write it without, or '0o..', or in quotes"},
    {"seed_is_text", false,
     "trials:\n"
     "  - {model: vit, method: float, seed: [0, one]}\n"sv,
     "sweep.yaml:8:43: seed must be an integer from 0 to 9007199254740992, not 'one'"},
    {"empty_axis", false,
     "trials:\n"
     "  - {model: [], method: float}\n"sv,
     "sweep.yaml:8:13: model must be a value or a list of values, not an empty list"},
    {"nested_axis", false,
     "trials:\n"
     "  - {model: [[vit]], method: float}\n"sv,
     "sweep.yaml:8:14: model must be a text, not a list"},
    {"unknown_calibration_data", false,
     "trials:\n"
     "  - {model: opt, method: gptq, bits: W4A16, calibration_data: txt}\n"sv,
     "sweep.yaml:8:63: unknown data set 'txt'; did you mean 'text'?"},
    {"calibration_data_of_other_task", false,
     "trials:\n"
     "  - {model: opt, method: gptq, bits: W4A16, calibration_data: fashion}\n"sv,
     "sweep.yaml:8:26: calibration data 'fashion' is for classification, model 'opt' "
     "is for language"},
    {"zip_of_unequal_lengths", false,
     "trials:\n"
     "  - zip: {model: [opt, opt2], calibration: [128, 64, 32]}\n"
     "    method: gptq\n"
     "    bits: W4A16\n"sv,
     "sweep.yaml:8:31: zip walks its lists together, but 'model' has 2 values and 'ca"
     "libration' has 3"},
    {"zip_with_unknown_axis", false,
     "trials:\n"
     "  - zip: {model: [opt, opt2], calibrations: [128, 64]}\n"
     "    method: gptq\n"
     "    bits: W4A16\n"sv,
     "sweep.yaml:8:31: unknown axis 'calibrations' in zip; did you mean 'calibration'"
     "?"},
    {"zip_is_a_list_of_texts", false,
     "trials:\n"
     "  - {zip: [a], model: opt, method: float}\n"sv,
     "sweep.yaml:8:12: zip must be a map of axes, each a list, not 'a'"},
    {"axis_in_block_and_zip", false,
     "trials:\n"
     "  - zip: {model: [opt, opt2], seed: [1, 2]}\n"
     "    model: opt\n"
     "    method: float\n"sv,
     "sweep.yaml:9:5: 'model' is given twice in this block, first at sweep.yaml:8:11"},
    {"everything_excluded", false,
     "trials:\n"
     "  - {model: vit, method: float, exclude: {where: \"model == 'vit'\"}}\n"sv,
     "sweep.yaml:8:3: no trial is left: every point is excluded, or there is none"},
    {"exclude_without_where", false,
     "trials:\n"
     "  - {model: vit, method: float, exclude: {when: x}}\n"sv,
     "sweep.yaml:8:43: unknown key 'when' in exclude; did you mean 'where'?"},
    {"where_unknown_name", false,
     "trials:\n"
     "  - {model: vit, method: float, exclude: {where: \"modle == 'vit'\"}}\n"sv,
     "sweep.yaml:8:51: unknown name 'modle'; did you mean 'model'?; a text stands in "
     "quotes (character 1 of \"modle == 'vit'\")"},
    {"where_single_equals", false,
     "trials:\n"
     "  - {model: vit, method: float, exclude: {where: \"seed = 0\"}}\n"sv,
     "sweep.yaml:8:56: '=' is not part of the language: == != < <= > >= in and or not"
     " ( ) (character 6 of \"seed = 0\")"},
    {"where_text_against_number", false,
     "trials:\n"
     "  - {model: vit, method: float, seed: 0, exclude: {where: \"seed == '0'\"}}\n"sv,
     "sweep.yaml:8:65: 0 is a number, \"0\" is text: they do not compare (character 6"
     " of \"seed == '0'\")"},
    {"where_unclosed_parenthesis", false,
     "trials:\n"
     "  - {model: vit, method: float, exclude: {where: \"(seed == 0\"}}\n"sv,
     "sweep.yaml:8:61: expected ')' (character 11 of \"(seed == 0\")"},
    {"where_unclosed_quote", false,
     "trials:\n"
     "  - {model: vit, method: float, exclude: {where: \"model == 'vit\"}}\n"sv,
     "sweep.yaml:8:60: a quote that is never closed (character 10 of \"model == 'vit\""
     ")"},
    {"where_calls_a_function", false,
     "trials:\n"
     "  - {model: vit, method: float, exclude: {where: \"len(model) > 3\"}}\n"sv,
     "sweep.yaml:8:51: unknown name 'len'; legal: model, method, bits, seed, calibrat"
     "ion_seed, calibration_data, w_bits, a_bits, kv_bits, family, task; a text stands in quot"
     "es (character 1 of \"len(model) > 3\")"},
    {"where_is_empty", false,
     "trials:\n"
     "  - {model: vit, method: float, exclude: {where: \"  \"}}\n"sv,
     "sweep.yaml:8:53: an empty expression (character 3 of \"  \")"},
    {"where_bare_word", false,
     "trials:\n"
     "  - {model: vit, method: float, exclude: {where: \"model == vit\"}}\n"sv,
     "sweep.yaml:8:60: unknown name 'vit'; did you mean 'bits'?; a text stands in quo"
     "tes (character 10 of \"model == vit\")"},
    {"ablate_unknown_switch", false,
     "ablate:\n"
     "  base: {model: resnet, method: genie, bits: W4A4}\n"
     "  without: [swinng]\n"sv,
     "sweep.yaml:9:13: 'swinng' is not a switch of method 'genie'; did you mean 'swin"
     "g'?"},
    {"ablate_parameter_that_is_no_switch", false,
     "ablate:\n"
     "  base: {model: opt, method: gptq, bits: W4A4}\n"
     "  without: [group]\n"sv,
     "sweep.yaml:9:13: 'group' is not a switch of method 'gptq'"},
    {"ablate_unknown_mode", false,
     "ablate:\n"
     "  base: {model: resnet, method: genie, bits: W4A4}\n"
     "  without: [swing]\n"
     "  mode: lo\n"sv,
     "sweep.yaml:10:9: unknown mode 'lo' (loo: each switch off in turn, add_one: each"
     " on alone, factorial: all combinations); did you mean 'loo'?"},
    {"ablate_lacks_base", false, "ablate: {without: [swing]}\n"sv,
     "sweep.yaml:7:9: ablate lacks the key 'base'"},
    {"ablate_without_anything_to_do", false,
     "ablate:\n"
     "  base: {model: resnet, method: genie, bits: W4A4}\n"sv,
     "sweep.yaml:8:3: an ablation needs 'without' (switches to turn off) or 'vary' (p"
     "arameter: values)"},
    {"ablate_switch_off_in_base", false,
     "ablate:\n"
     "  base: {model: resnet, method: genie, bits: W4A4, swing: false}\n"
     "  without: [swing]\n"sv,
     "sweep.yaml:9:13: switch 'swing' is off in the base already; it cannot be taken "
     "away"},
    {"ablate_switch_twice", false,
     "ablate:\n"
     "  base: {model: resnet, method: genie, bits: W4A4}\n"
     "  without: [swing, swing]\n"sv,
     "sweep.yaml:9:20: switch 'swing' stands twice"},
    {"ablate_two_methods", false,
     "ablate:\n"
     "  base: {model: resnet, method: [genie, float], bits: W4A4}\n"
     "  without: [swing]\n"sv,
     "sweep.yaml:8:9: the base of an ablation has one method"},
    {"ablate_vary_unknown", false,
     "ablate:\n"
     "  base: {model: resnet, method: genie, bits: W4A4}\n"
     "  vary: {swng: [true]}\n"sv,
     "sweep.yaml:9:10: unknown key 'swng' in vary; did you mean 'swing'?"},
    {"ablate_base_excludes", false,
     "ablate:\n"
     "  base: {model: resnet, method: genie, bits: W4A4, exclude: {where: \"seed == 0"
     "\"}}\n"
     "  without: [swing]\n"sv,
     "sweep.yaml:8:52: unknown key 'exclude' in base; legal: bits, calibration_data, "
     "calibration_seed, genie, genie.learned_scale, genie.qdrop, genie.swing, learned"
     "_scale, method, model, qdrop, seed, swing, zip"},
    {"unknown_metric", false,
     "trials: [{model: vit, method: float}]\n"
     "evaluate:\n"
     "  - {metric: top_1}\n"sv,
     "sweep.yaml:9:14: unknown metric 'top_1'; did you mean 'top1'?"},
    {"evaluate_lacks_metric", false,
     "trials: [{model: vit, method: float}]\n"
     "evaluate:\n"
     "  - {split: test}\n"sv,
     "sweep.yaml:9:5: evaluate entry lacks the key 'metric'"},
    {"evaluate_unknown_key", false,
     "trials: [{model: vit, method: float}]\n"
     "evaluate:\n"
     "  - {metric: top1, limits: 3}\n"sv,
     "sweep.yaml:9:20: unknown key 'limits' in evaluate entry; did you mean 'limit'?"},
    {"evaluate_unknown_model", false,
     "trials: [{model: vit, method: float}]\n"
     "evaluate:\n"
     "  - {metric: top1, models: [vit3]}\n"sv,
     "sweep.yaml:9:29: unknown model 'vit3'; did you mean 'vit'?"},
    {"evaluate_unknown_method", false,
     "trials: [{model: vit, method: float}]\n"
     "evaluate:\n"
     "  - {metric: top1, methods: [flot]}\n"sv,
     "sweep.yaml:9:30: unknown method 'flot'; did you mean 'float'?"},
    {"evaluate_unknown_data", false,
     "trials: [{model: vit, method: float}]\n"
     "evaluate:\n"
     "  - {metric: top1, data: fashon}\n"sv,
     "sweep.yaml:9:26: unknown data set 'fashon'; did you mean 'fashion'?"},
    {"evaluate_matches_no_model", false,
     "trials: [{model: vit, method: float}]\n"
     "evaluate:\n"
     "  - {metric: perplexity}\n"sv,
     "sweep.yaml:9:5: 'perplexity' applies to no trial of the sweep: metric perplexit"
     "y is for language, the model for classification"},
    {"evaluate_is_a_map", false,
     "trials: [{model: vit, method: float}]\n"
     "evaluate: {metric: top1}\n"sv,
     "sweep.yaml:8:11: evaluate must be a list of {metric: ...}, not a map"},
    {"evaluate_parameter_out_of_range", false,
     "trials: [{model: opt, method: float}]\n"
     "evaluate:\n"
     "  - {metric: perplexity, context: [512, 0]}\n"sv,
     "sweep.yaml:9:41: parameter 'context' = 0: expected an integer of at least 1"},
    {"run_unknown_key", false,
     "run: {slot: 3}\n"
     "trials: [{model: vit, method: float}]\n"sv,
     "sweep.yaml:7:7: unknown key 'slot' in run; did you mean 'slots'?"},
    {"run_bad_time", false,
     "run: {stage_timeout: 10 minutes}\n"
     "trials: [{model: vit, method: float}]\n"sv,
     "sweep.yaml:7:22: stage_timeout must be a time with its unit like 90s, 10m, 1h30m or 2d, or no"
     "ne, not '10 minutes'"},
    {"run_time_without_unit", false,
     "run: {stall_timeout: 90}\n"
     "trials: [{model: vit, method: float}]\n"sv,
     "sweep.yaml:7:22: stall_timeout must be a time with its unit like 90s, 10m, 1h30m or 2d, or no"
     "ne, not '90'; seconds are written '90s'"},
    {"nothing_is_evaluated", false, "trials: [{model: vit, method: float}]\n"sv,
     "sweep.yaml:1:1: the sweep lacks the key 'evaluate', so nothing would be measured; write "
     "'evaluate: [{metric: top1}]' (metrics that fit: top1, perplexity, latency, dream), or "
     "'evaluate: []' to make networks only"},
    {"typo_in_a_data_entry", true,
     "assay: 1\n"
     "data: {a: {reader: image_folder, root: /x, preproces: cifar}}\n"
     "models: {}\n"sv,
     "sweep.yaml:2:44: unknown key 'preproces' in data 'a'; legal: reader, root, splits, test, "
     "train, val, validation (splits are train, test, validation, val; others are declared: "
     "'splits: [preproces]')"},
    {"run_bad_slots", false,
     "run: {slots: 0}\n"
     "trials: [{model: vit, method: float}]\n"sv,
     "sweep.yaml:7:14: slots (or auto) must be an integer from 1 to 65536, not '0'"},
    {"run_bad_device", false,
     "run: {device: gpu}\n"
     "trials: [{model: vit, method: float}]\n"sv,
     "sweep.yaml:7:15: device 'gpu' is not known; legal: cpu, cuda, cuda:<model> (cud"
     "a:H100)"},
    {"run_bad_failures", false,
     "run: {max_failures: 120%}\n"
     "trials: [{model: vit, method: float}]\n"sv,
     "sweep.yaml:7:21: max_failures must be a share like 20%, a count of at least 1, "
     "or none, not '120%'"},
    {"run_no_failures", false,
     "run: {max_failures: 0}\n"
     "trials: [{model: vit, method: float}]\n"sv,
     "sweep.yaml:7:21: max_failures must be a share like 20%, a count of at least 1, "
     "or none, not '0'"},
    {"run_bad_precision", false,
     "run: {precision: float8}\n"
     "trials: [{model: vit, method: float}]\n"sv,
     "sweep.yaml:7:18: precision 'float8' is not supported; legal: float32, float64, "
     "bfloat16, float16"},
    {"provider_lacks_command", false,
     "providers: [{comand: x}]\n"
     "trials: [{model: vit, method: float}]\n"sv,
     "sweep.yaml:7:14: unknown key 'comand' in provider; did you mean 'command'?"},
    {"provider_is_text", false,
     "providers: my_method.py\n"
     "trials: [{model: vit, method: float}]\n"sv,
     "sweep.yaml:7:12: providers must be a list of {command: [program, argument]}, no"
     "t 'my_method.py'"},
    {"include_of_nothing", false,
     "include: missing.yaml\n"
     "trials: [{model: vit, method: float}]\n"sv,
     "sweep.yaml:7:10: cannot read the sweep file 'missing.yaml': no such file"},
    {"include_of_itself", false,
     "include: [sweep.yaml]\n"
     "trials: [{model: vit, method: float}]\n"sv,
     "sweep.yaml:7:11: 'sweep.yaml' includes itself in a circle"},
    {"unclosed_single_quote", false, "name: 'it''s\n"sv,
     "sweep.yaml:7:7: a quote that is never closed"},
    {"unclosed_quote_in_a_list", false,
     "trials:\n"
     "  - {model: [\"vit, method: float}\n"sv,
     "sweep.yaml:8:5: a key must be a text, not a list or a map; or a bracket is never closed"},
    {"cuts_short_after_a_key", false, "trials\n"sv,
     "sweep.yaml:1:1: the sweep has neither 'trials' nor 'ablate'"},
    {"wrong_indent", false,
     "trials:\n"
     "  - model: vit\n"
     "   method: float\n"sv,
     "sweep.yaml:9:4: not valid YAML: end of sequence not found"},
    {"set_like_text_in_run", false,
     "run: slots=3\n"
     "trials: []\n"sv,
     "sweep.yaml:7:6: run must be a map (key: value), not 'slots=3'"},
    {"config_for_a_family_without", true,
     "assay: 1\n"
     "models: {a: {family: vit, config: {depth: 2}}}\n"sv,
     "sweep.yaml:2:36: unknown key 'depth' in config of model 'a'"},
    {"integer_overflow", false,
     "trials:\n"
     "  - {model: vit, method: psaq_vit, bits: W4A8, images: 999999999999999999999999"
     "99}\n"sv,
     "sweep.yaml:8:56: parameter 'images' = 1e+26: expected an integer of at least 1"},
    {"nan_parameter", false,
     "trials:\n"
     "  - {model: opt, method: gptq, bits: W4A8, damping: .nan}\n"sv,
     "sweep.yaml:8:53: parameter 'damping' = \".nan\": expected a number of at least "
     "0"},
    {"infinite_parameter", false,
     "trials:\n"
     "  - {model: opt, method: gptq, bits: W4A8, damping: 1e999}\n"sv,
     "sweep.yaml:8:53: parameter 'damping' = \"1e999\": expected a number of at least"
     " 0"},
    {"quoted_number", false,
     "trials:\n"
     "  - {model: opt, method: gptq, bits: W4A8, group: \"128\"}\n"sv,
     "sweep.yaml:8:51: parameter 'group' = \"128\": expected an integer of at least -"
     "1"},
    {"null_parameter", false,
     "trials:\n"
     "  - {model: opt, method: gptq, bits: W4A8, group: }\n"sv,
     "sweep.yaml:8:51: parameter 'group' = null: expected an integer of at least -1"},
};

class MalformedSweep : public ::testing::TestWithParam<Malformed> {};

TEST_P(MalformedSweep, is_refused_with_place_and_mend) {
  const Malformed& each = GetParam();
  const std::string text = (each.whole ? "" : assay::testing::kModels) + std::string(each.text);
  EXPECT_EQ(assay::testing::refusal_of(text), each.error);
}

std::string name_of_case(const ::testing::TestParamInfo<Malformed>& each) {
  return each.param.name;
}

INSTANTIATE_TEST_SUITE_P(Table, MalformedSweep, ::testing::ValuesIn(kMalformed), name_of_case);

}  // namespace
}  // namespace assay::spec
