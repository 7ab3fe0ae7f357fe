"""Sweep files as people get them wrong, and what the message must hold: place, value, mend."""

# Four lines stand before the text of a case that is not `whole`.
HEAD = """assay: 1
providers: [{{command: [{python}, {provider}]}}]
models: {{net: {{family: toy, config: {{width: 4}}}}, lm: {{family: toy_text, config: {{}}}}}}
evaluate: [{{metric: score}}]
"""
TRIAL = "trials: [{model: net, method: plain}]\n"

# name: (text, pieces of the message after the file's name)
AFTER_HEAD = {
    "unknown_key_of_the_sweep": ("trails: []\n", [":5:1:", "'trails'", "did you mean 'trials'"]),
    "no_trials": ("name: x\n", [":1:1:", "trials"]),
    "trials_that_are_a_map": ("trials: {model: net, method: plain}\n", [":5:9:", "a list of blocks"]),
    "unknown_model": ("trials: [{model: nett, method: plain}]\n", [":5:18:", "'nett'", "did you mean 'net'"]),
    "unknown_method": ("trials: [{model: net, method: plane}]\n", [":5:31:", "'plane'", "did you mean 'plain'"]),
    "unknown_key_of_a_block": ("trials: [{model: net, method: round, bitts: W4A8}]\n", [":5:38:", "'bitts'", "did you mean 'bits'"]),
    "bits_that_are_a_number": ("trials: [{model: net, method: round, bits: 4}]\n", [":5:44:", "'4'", "W4A8"]),
    "bits_of_zero": ("trials: [{model: net, method: round, bits: W0A8}]\n", [":5:44:", "W0A8", "1 to 16"]),
    "parameter_out_of_choice": ("trials: [{model: net, method: {round: {range: min_max}}, bits: W4A8}]\n",
                                [":5:47:", "min_max", "did you mean 'minmax'"]),
    "parameter_below_its_range": ("trials: [{model: net, method: {round: {group: 0}}, bits: W4A8}]\n", [":5:47:", "'group'", "= 0", "1"]),
    "parameter_beyond_64_bits": ("trials: [{model: net, method: {round: {group: 99999999999999999999}}, bits: W4A8}]\n",
                                 [":5:47:", "1e+20", "integer"]),
    "parameter_that_is_nan": ("trials: [{model: net, method: {round: {group: .nan}}, bits: W4A8}]\n", [":5:47:", "nan", "integer"]),
    "empty_list_of_values": ("trials: [{model: net, method: {round: {group: []}}, bits: W4A8}]\n", [":5:47:", "'group'", "empty"]),
    "negative_seed": ("trials: [{model: net, method: broken, seed: -1}]\n", [":5:45:", "-1", "seed"]),
    "seed_that_is_text": ("trials: [{model: net, method: broken, seed: one}]\n", [":5:45:", "one", "seed"]),
    "zip_of_unequal_lengths": ("trials: [{zip: {model: [net, net], seed: [0, 1, 2]}, method: plain}]\n", [":5:", "zip", "2", "3"]),
    "where_with_unknown_name": ("trials: [{model: net, method: plain, exclude: {where: \"bitz == 4\"}}]\n",
                                [":5:", "'bitz'", "did you mean"]),
    "where_with_single_equals": ("trials: [{model: net, method: plain, exclude: {where: \"seed = 1\"}}]\n", [":5:", "=="]),
    "where_of_a_thousand_parentheses": ("trials: [{model: net, method: plain, exclude: {where: \"" + "(" * 2000 + "1" + ")" * 2000
                                        + "\"}}]\n", [":5:", "deep"]),
    "more_points_than_allowed": ("trials: [{model: net, method: round, bits: W4A8, seed: [" + ", ".join(map(str, range(400))) +
                                 "], calibration_seed: [" + ", ".join(map(str, range(400))) + "], group: [" +
                                 ", ".join(map(str, range(1, 401))) + "]}]\n", [":5:", "64000000", "10000000"]),
    "unknown_reader": (TRIAL + "data: {d: {reader: linse, test: x}}\n", [":6:20:", "'linse'", "did you mean 'lines'"]),
    "unknown_device": (TRIAL + "run: {device: gpu}\n", [":6:15:", "'gpu'", "cuda"]),
    "slots_of_minus_one": (TRIAL + "run: {slots: -1}\n", [":6:14:", "-1", "slots"]),
    "time_without_unit": (TRIAL + "run: {stage_timeout: fast}\n", [":6:22:", "'fast'", "90s"]),
    "time_that_is_a_number": (TRIAL + "run: {stage_timeout: 90}\n", [":6:22:", "'90'", "'90s'"]),
    "typo_in_a_data_entry": (TRIAL + "data: {d: {reader: lines, tset: x}}\n", [":6:27:", "'tset'", "did you mean 'test'"]),
    "merge_of_a_text": (TRIAL + "anchors: {a: {<<: x}}\n", [":6:19:", "'<<'", "a map"]),
    "share_above_all": (TRIAL + "run: {max_failures: 120%}\n", [":6:21:", "120%", "max_failures"]),
    "unknown_switch": ("trials: []\nablate: {base: {model: net, method: round, bits: W4A8}, without: [clop]}\n",
                       [":6:67:", "'clop'", "did you mean 'clip'"]),
    "mode_of_an_ablation": ("ablate: {base: {model: net, method: round, bits: W4A8}, without: [clip], mode: one}\n",
                            [":5:80:", "'one'", "loo"]),
    "include_that_is_not_there": (TRIAL + "include: [commn/models.yaml]\n", [":6:11:", "commn/models.yaml"]),
    "include_of_itself": (TRIAL + "include: sweep.yaml\n", ["sweep.yaml", "includes itself"]),
    "two_networks_of_one_name": (TRIAL + "models: {net: {family: toy}}\n", [":6:1:", "'models'", "twice"]),
    "run_folder_outside": (TRIAL + "name: ../../etc\n", [":6:7:", "'../../etc'", "letters, digits"]),
}

# name: (the whole file as bytes, pieces)
WHOLE = {
    "an_empty_file": (b"", [":1:1:", "empty", "assay: 1"]),
    "bytes_that_are_no_text": (b"assay: 1\nname: \xff\xfe\n", [":2:7:", "0xff", "UTF-8"]),
    "utf16_with_a_byte_order_mark": ("assay: 1\n".encode("utf-16"), [":1:", "UTF-8"]),
    "a_nul_byte": (b"assay: 1\nname: a\0b\n", [":2:8:", "0x00", "UTF-8"]),
    "a_program": (b"\x7fELF\x02\x01\x01" + bytes(500), [":1:", "UTF-8"]),
    "an_unclosed_bracket": (b"assay: 1\nmodels: [a, b\n", [":3:1:", "not valid YAML"]),
    "an_unclosed_quote": (b"assay: 1\nname: \"abc\n", [":2:7:", "never closed"]),
    "a_tab_as_indentation": (b"assay: 1\nmodels:\n\tx: 1\n", [":3:", "tab", "spaces"]),
    "a_future_format": (b"assay: 2\n", [":1:8:", "'2'", "assay: 1"]),
    "a_foreign_tag": (b"assay: 1\nname: !!python/object:os.system x\n", [":2:7:", "os.system", "remove it"]),
    "an_alias_inside_its_anchor": (b"assay: 1\nname: &a [*a]\n", [":2:11:", "anchor"]),
    "a_second_document": (b"assay: 1\n---\nassay: 1\n", [":3:1:", "second document"]),
    "a_billion_laughs": (b"assay: 1\na: &a [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join(b"*%c" % (97 + i) for _ in range(10))) for i in range(9)), ["sweep.yaml:", "200"]),
    "lists_nested_ten_thousand_deep": (b"assay: 1\nname: " + b"[" * 10000 + b"]" * 10000 + b"\n", [":2:", "deep"]),
    "a_file_of_five_megabytes": (b"assay: 1\n" + b"# filler line of a comment\n" * 200000, ["4"]),
}
