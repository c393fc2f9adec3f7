/* The same with real = double: conversion to and from every stored type. */
#include "test_safetensors.c"
