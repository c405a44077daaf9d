# Native build: simdjson once as a static library, shared by the addon and by the C++ tests.
# Run by scripts/install.mjs (addon) and scripts/native-test.ts (tests=1, fuzz=1, asan/ubsan/tsan=1).
# Node-API only: no V8 headers are used, so one build serves Node and Bun. No per-chip flags but through march.
{
  'variables': {
    'tests%': 0,
    'fuzz%': 0,
    'asan%': 0,
    'ubsan%': 0,
    'tsan%': 0,
    'march%': '',
    'simdjson%': '<!(node -p "require(\'node:path\').dirname(require.resolve(\'@nozbe/simdjson/package.json\')) + \'/src\'")',
    'algorithms': [
      'native/http/head.cc',
      'native/route/message.cc',
      'native/route/table.cc',
      'native/scan/avx2.cc',
      'native/scan/escapes.cc',
      'native/scan/kernel.cc',
      'native/scan/keys.cc',
      'native/scan/scanner.cc',
      'native/scan/skip.cc',
      'native/scan/strict.cc',
      'native/scan/walk.cc',
      'native/sse/split.cc',
    ],
  },
  'target_defaults': {
    'cflags_cc': ['-std=c++17', '-O3', '-fno-exceptions', '-fno-rtti', '-fvisibility=hidden'],
    'cflags_cc!': ['-fexceptions', '-std=gnu++17', '-std=gnu++20'],
    'xcode_settings': {
      'CLANG_CXX_LANGUAGE_STANDARD': 'c++17',
      'GCC_OPTIMIZATION_LEVEL': '3',
      'GCC_ENABLE_CPP_EXCEPTIONS': 'NO',
      'GCC_SYMBOLS_PRIVATE_EXTERN': 'YES',
      'MACOSX_DEPLOYMENT_TARGET': '11.0',
    },
    'conditions': [
      ['march!=""', { 'cflags_cc': ['-march=<(march)'], 'defines': ['SLUICE_MARCH="<(march)"'] }],
      ['asan==1', { 'cflags_cc': ['-fsanitize=address', '-fno-omit-frame-pointer', '-g'], 'ldflags': ['-fsanitize=address'] }],
      ['ubsan==1', {
        'cflags_cc': ['-fsanitize=undefined', '-fno-sanitize-recover=undefined', '-g'],
        'ldflags': ['-fsanitize=undefined'],
      }],
      ['tsan==1', { 'cflags_cc': ['-fsanitize=thread', '-g'], 'ldflags': ['-fsanitize=thread'] }],
      ['fuzz==1', { 'cflags_cc': ['-fsanitize=fuzzer-no-link', '-g'] }],
    ],
  },
  'targets': [
    {
      'target_name': 'simdjson',
      'type': 'static_library',
      'sources': ['native/scan/simdjson.cc'],
      'include_dirs': ['<(simdjson)'],
      'cflags_cc': ['-w'],
    },
    {
      'target_name': 'sluice',
      'type': 'loadable_module',
      'dependencies': ['simdjson'],
      'sources': ['native/addon.cc', 'native/bind/arguments.cc', 'native/bind/router.cc', 'native/bind/state.cc', '<@(algorithms)'],
      'cflags_cc': ['-Wall', '-Wextra', '-Wshadow', '-Werror', '-isystem', '<(simdjson)'],
      'defines': ['NAPI_VERSION=8'],
      'xcode_settings': { 'OTHER_CPLUSPLUSFLAGS': ['-Wall', '-Wextra', '-Wshadow', '-Werror', '-isystem', '<(simdjson)'] },
    },
  ],
  'conditions': [
    ['tests==1', {
      'targets': [{
        'target_name': 'sluice_tests',
        'type': 'executable',
        'dependencies': ['simdjson'],
        'sources': ['<@(algorithms)', '<!@(ls native/test/*_test.cc)', 'native/test/check.cc'],
        'cflags_cc': ['-Wall', '-Wextra', '-Wshadow', '-Werror', '-pthread', '-isystem', '<(simdjson)'],
        'ldflags': ['-pthread'],
      }],
    }],
    ['fuzz==1', {
      'targets': [{
        'target_name': 'sluice_fuzz',
        'type': 'executable',
        'dependencies': ['simdjson'],
        'sources': ['<@(algorithms)', 'native/test/fuzz.cc'],
        'cflags_cc': ['-Wall', '-Wextra', '-Wshadow', '-Werror', '-isystem', '<(simdjson)'],
        'ldflags': ['-fsanitize=fuzzer'],
      }],
    }],
  ],
}
