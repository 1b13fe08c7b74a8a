# mpp: the one Makefile.
#
#   make               the library, the tools and their manuals, into $(B)/
#   make check         every test; TESTS='020 unit' picks some; the last line is "N passed, M failed"
#   make soak          the tests that draw at random, again and again: T=SECONDS
#   make coverage      which branches the tests take; TESTS as above
#   make analyze       what takes longer than lint: gcc -fanalyzer, clang-tidy, and valgrind over the unit tests
#   make portable      other ways to build, and other machines, without a warning: WHAT=s390x for one
#   make demo          a shuffle and a gather on this machine's own data
#   make bench         how fast, beside other ways; QUICK=1 in a minute, WHAT=scale by size, BENCH_JSON=FILE
#   make install       under DESTDIR and PREFIX; uninstall takes the same away again
#   make fuzz          libFuzzer goes on from the kept corpora: T=SECONDS in all, TARGET=NAME for one target
#   make lint format   what the style asks of the sources
#   make clean
#
#   V=1                      show the commands
#   SAN=address,undefined    with sanitizers, or SAN=thread; each has a build directory of its own
#   CC=clang                 another compiler; so has this
#   WERROR=1                 warnings are errors (also when CI=true)
#   CFLAGS CPPFLAGS LDFLAGS LDLIBS  are yours, on the command line as well: nothing of ours is in them

VERSION := 0.1.0

PREFIX ?= /usr/local
CFLAGS ?= -O2 -g
SAN ?=
WERROR ?= $(filter true,$(CI))

comma := ,
compiler := $(filter-out cc gcc,$(notdir $(firstword $(CC))))
B := build$(addprefix -,$(compiler) $(subst $(comma),-,$(SAN)))
B := $(subst $() ,,$(B))

MPP_CFLAGS := -std=c11 -Wall -Wextra -Wshadow -Wconversion $(if $(WERROR),-Werror)
MPP_CPPFLAGS := -D_GNU_SOURCE -DMPP_VERSION='"$(VERSION)"' -Ilib -Icmd
MPP_LDFLAGS :=
ifneq ($(SAN),)
MPP_CFLAGS += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
MPP_LDFLAGS += -fsanitize=$(SAN)
endif
LIB_LDLIBS := -luuid -lxxhash

lib_src := $(wildcard lib/*/*.c)
tool_src := $(wildcard cmd/*/main.c)
helper_src := $(filter-out $(tool_src),$(wildcard cmd/*/*.c))
opt_src := $(wildcard cmd/*/*.opt)
unit_src := $(wildcard tests/unit/*.c tests/fault/*.c)
fuzz_src := $(wildcard tests/fuzz/*.c)
way_src := $(wildcard tests/bench/way-*.c)
bench_src := $(filter-out $(way_src),$(wildcard tests/bench/*.c))
man_src := $(wildcard man/*.[1-8] man/*.[1-8].in)

lib := $(B)/libmpp.a
helpers := $(B)/cmd/helpers.a # what several tools use; each takes what it needs
ways := $(B)/tests/bench/ways.a # what messages measures
stepped := $(filter %/tape.c %/mailbox.c,$(lib_src)) # whose tests stop between any two accesses
tools := $(tool_src:cmd/%/main.c=$(B)/mpp-%)
units := $(unit_src:%.c=$(B)/%)
fuzzers := $(patsubst %.c,$(B)/%,$(filter tests/fuzz/fuzz-%,$(fuzz_src)))
breakers := $(filter-out $(fuzzers) %/replay,$(fuzz_src:%.c=$(B)/%))
benches := $(bench_src:%.c=$(B)/%)
manuals := $(patsubst %.in,%,$(man_src:%=$(B)/%))
headers := $(B)/include/mpp.h $(B)/include/mpp-look.h

obj = $(1:%.c=$(B)/%.o)
all_obj := $(call obj,$(lib_src) $(tool_src) $(helper_src) $(unit_src) $(bench_src) $(way_src) $(fuzz_src))
formatted := $(wildcard lib/*.h lib/*/*.[ch] cmd/*/*.[ch] tests/*/*.[ch])

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),@:,@printf '  %-7s %s\n' '$(1)' '$(2)')

.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY: $(all_obj)
.PHONY: all unit benches check demo bench install uninstall clean format lint setup
.PHONY: soak coverage analyze portable
.PHONY: fuzz fuzz-programs fuzz-replay

all: $(lib) $(tools) $(manuals) $(headers)
unit: $(units)
benches: $(benches)

# ---- compile and link -----------------------------------------------------------------------------

# What the compiler needs is looked for once in each build directory, and installed if it is missing.
$(B)/.setup: scripts/setup
	@mkdir -p $(@D)
	$(Q)scripts/setup --build
	@touch $@

define compile =
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(MPP_CPPFLAGS) $(OWN_CPPFLAGS) $(CPPFLAGS) $(MPP_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
endef
$(all_obj): $(B)/%.o: %.c Makefile | $(B)/.setup
	$(compile)

$(lib): $(call obj,$(lib_src))
$(helpers): $(call obj,$(helper_src))
$(ways): $(call obj,$(way_src))
$(lib) $(helpers) $(ways):
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) qcs $@ $^

link = $(CC) $(MPP_LDFLAGS) $(OWN_LDFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) \
	$(LDLIBS) $(1) $(LIB_LDLIBS)

$(B)/mpp-create $(B)/mpp-run: private OWN_LDLIBS := -pthread
$(B)/mpp-stat $(B)/mpp-produce $(B)/mpp-consume: private OWN_LDLIBS := -pthread -ljansson
$(tools): $(B)/mpp-%: $(B)/cmd/%/main.o $(helpers) $(lib)
	$(call say,LINK,$@)
	$(Q)$(call link,$(OWN_LDLIBS))

$(units): %: %.o $(helpers) $(lib)
	$(call say,LINK,$@)
	$(Q)$(call link,-pthread -ljansson)

# Replayed, or with FUZZ_MAIN=-fsanitize=fuzzer driven by libFuzzer.
FUZZ_MAIN := $(B)/tests/fuzz/replay.o
fuzz-programs: $(fuzzers) $(breakers)
$(fuzzers): %: %.o $(filter %.o,$(FUZZ_MAIN)) $(helpers) $(lib)
	$(call say,LINK,$@)
	$(Q)$(call link,$(filter-out %.o,$(FUZZ_MAIN)) -pthread)
$(breakers): %: %.o $(lib)
	$(call say,LINK,$@)
	$(Q)$(call link,-pthread)

# Only a yardstick needs it, and that does without.
$(B)/tests/bench/way-dpdk.o: private OWN_CPPFLAGS = $(patsubst -I%,-isystem %,$(shell pkg-config --cflags libdpdk 2>/dev/null))
$(benches): %: %.o $(ways) $(lib)
	$(call say,LINK,$@)
	$(Q)$(call link)

# They share what the unit tests have.
$(B)/tests/fault/%.o: private OWN_CPPFLAGS = -Itests/unit
wrap = $(1:%=-Wl,--wrap=%)
$(B)/tests/fault/alloc: private OWN_LDFLAGS := $(call wrap,malloc calloc realloc aligned_alloc strdup strndup free)
$(B)/tests/fuzz/fuzz-merge: private OWN_LDFLAGS := $(call wrap,mpp_next mpp_release)
$(B)/tests/fuzz/fuzz-options: private OWN_LDFLAGS := $(call wrap,exit message_write)

# Behind steps.h these do what they do in steps.
stepped_obj := $(patsubst %.c,$(B)/tests/stepped/%.o,$(stepped))
$(stepped_obj): private OWN_CPPFLAGS = -include tests/unit/steps.h
$(stepped_obj): $(B)/tests/stepped/%.o: %.c Makefile | $(B)/.setup
	$(compile)
$(B)/tests/unit/tape $(B)/tests/unit/tape-forged: $(filter %/tape.o,$(stepped_obj))
$(B)/tests/unit/mailbox: $(filter %/mailbox.o,$(stepped_obj))

-include $(wildcard $(all_obj:.o=.d) $(stepped_obj:.o=.d))

# ---- manuals and the installed headers -------------------------------------------------------------

$(B)/man/%: man/%
	@mkdir -p $(@D)
	$(call say,MAN,$@)
	$(Q)cp $< $@

$(B)/man/%.1: man/%.1.in $(opt_src) lib/counters.def scripts/man-options
	@mkdir -p $(@D)
	$(call say,MAN,$@)
	$(Q)CC='$(CC)' scripts/man-options $(filter %/$*.opt,$(opt_src)) $< > $@

# The list of counters that a header includes is put in its place.
$(headers): $(B)/include/%: lib/% lib/counters.def
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)sed -e '/^#include "counters.def"/{' -e 'r lib/counters.def' -e 'd' -e '}' $< > $@

# ---- install ------------------------------------------------------------------------------------------

bindir := $(DESTDIR)$(PREFIX)/bin
libdir := $(DESTDIR)$(PREFIX)/lib
includedir := $(DESTDIR)$(PREFIX)/include
mandir := $(DESTDIR)$(PREFIX)/share/man

section = man$(subst .,,$(suffix $(1)))
installed = $(tools:$(B)/%=$(bindir)/%) $(libdir)/libmpp.a $(libdir)/pkgconfig/mpp.pc $(includedir)/mpp.h $(includedir)/mpp-look.h \
	$(foreach m,$(manuals),$(mandir)/$(call section,$(m))/$(notdir $(m)))

define MPP_PC
prefix=$(PREFIX)
libdir=$${prefix}/lib
includedir=$${prefix}/include

Name: mpp
Description: record streams between processes through shared memory
Version: $(VERSION)
Libs: -L$${libdir} -lmpp $(LIB_LDLIBS)
Cflags: -I$${includedir}
endef

install: export MPP_PC := $(MPP_PC)
install: all
	$(Q)install -d $(sort $(dir $(installed)))
	$(Q)install -m 755 $(tools) $(bindir)
	$(Q)install -m 644 $(lib) $(libdir)
	$(Q)install -m 644 $(headers) $(includedir)
	$(Q)printf '%s\n' "$$MPP_PC" > $(libdir)/pkgconfig/mpp.pc
	$(Q)$(foreach m,$(manuals),install -m 644 $(m) $(mandir)/$(call section,$(m)) &&) :
	@printf '  %s\n' $(installed)

uninstall:
	$(Q)rm -f $(installed)

# ---- what people run ------------------------------------------------------------------------------------

setup: | $(B)/.setup
	$(Q)scripts/setup

check: setup all unit $(B)/tests/bench/gen
	$(Q)MPP_B='$(abspath $(B))' MPP_SAN='$(SAN)' scripts/check $(TESTS)

soak: setup all unit fuzz-replay $(B)/tests/bench/gen
	$(Q)MPP_B='$(abspath $(B))' MPP_SAN='$(SAN)' scripts/soak $(or $(T),600)

coverage:
	$(Q)scripts/setup --lint
	$(Q)$(MAKE) --no-print-directory B=build-coverage CC=gcc SAN= \
		CFLAGS='-O0 -g --coverage -fprofile-update=atomic' all unit build-coverage/tests/bench/gen
	$(Q)MPP_B='$(abspath build-coverage)' scripts/coverage $(TESTS)

analyze: all unit
	$(Q)scripts/setup --lint
	$(Q)MPP_B='$(abspath $(B))' scripts/analyze

portable:
	$(Q)scripts/portable $(WHAT)

# What takes hostile input is tried under sanitizers, whatever the rest is built with.
replay_b := $(if $(findstring address,$(SAN)),$(B),build-replay$(addprefix -,$(compiler)))
fuzz-replay:
	$(Q)$(MAKE) --no-print-directory B=$(replay_b) SAN=$(if $(findstring address,$(SAN)),$(SAN),address$(comma)undefined) \
		CFLAGS='-O1 -g' fuzz-programs
check: $(if $(TESTS),$(if $(findstring fuzz,$(TESTS)),fuzz-replay),fuzz-replay)
check soak: export MPP_REPLAY := $(abspath $(replay_b))

fuzz:
	$(Q)scripts/setup --lint
	$(Q)$(MAKE) --no-print-directory CC=clang SAN=address,undefined,fuzzer-no-link B=build-fuzz \
		FUZZ_MAIN=-fsanitize=fuzzer CFLAGS='-O1 -g' fuzz-programs
	$(Q)MPP_B='$(abspath build-fuzz)' scripts/fuzz $(or $(T),60) $(TARGET)

demo: setup all
	$(Q)MPP_B='$(abspath $(B))' scripts/demo

bench: all benches
	$(Q)MPP_B='$(abspath $(B))' QUICK='$(QUICK)' BENCH_JSON='$(BENCH_JSON)' scripts/bench $(WHAT)

lint:
	$(Q)scripts/setup --lint
	$(Q)MPP_B='$(abspath $(B))' scripts/lint

format:
	$(Q)clang-format -i $(formatted)

clean:
	$(Q)rm -rf build build-*
